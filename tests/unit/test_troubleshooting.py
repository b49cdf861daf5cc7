from __future__ import annotations

import re
from pathlib import Path

import pytest

from allod.domain.serving.health.evidence import REASONS
from allod.domain.serving.health.finding import CONCERNS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
HEADINGS = set(re.findall(r"^## (\w+)$", PAGE, re.MULTILINE))
SOURCES = [*(ROOT / "operator/allod/domain/serving").rglob("*.py"), *(ROOT / "operator/allod/reconcile").rglob("*.py")]
FOUND = {reason for source in SOURCES for reason in re.findall(r'Finding\(\s*"([A-Z]\w+)"', source.read_text())}
NOT_MEASURED = set(
    re.findall(r'Condition\(KIND, "False", "([A-Z]\w+)"', (ROOT / "operator/allod/domain/serving/health/measurement.py").read_text())
)
NOT_READY = set(re.findall(r'return "([A-Z]\w+)", f?"', (ROOT / "operator/allod/domain/serving/answers.py").read_text()))


@pytest.mark.parametrize("reason", sorted(FOUND | NOT_READY | NOT_MEASURED | set(CONCERNS) | set(REASONS.values())))
def test_every_reason_that_a_person_can_meet_has_its_paragraph(reason: str) -> None:
    assert reason in HEADINGS


def test_the_reasons_are_really_found_in_the_code() -> None:
    assert len(FOUND) > 5, "the pattern no longer matches how findings are written"
    assert len(NOT_MEASURED) > 2, "the pattern no longer matches how `measurement` says why figures are missing"
    assert {"Starting", "Unavailable"} <= NOT_READY, "the pattern no longer matches how `answers` says why a model is not ready"
