"""What Prometheus takes, and that everything that our rules read is on a real page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from allod.domain.serving.page import BY_INTENT
from allod.render.monitoring.pagerules import NOT_URGENT
from allod.render.monitoring.prometheusrule import prometheus_rule
from allod.render.monitoring.promql import span
from allod.render.running import Running
from allod.runtime.metrics import Metrics
from support.golden import FOLDER
from support.promtool import Promtool, asked_for, on_page
from support.rules import model_of, rule_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
REAL = (ROOT / "tests/unit/adapters/pages/vllm-0.32.0.txt").read_text()
HEADINGS = set(re.findall(r"^## (\w+)$", (ROOT / "docs/troubleshooting.md").read_text(), re.MULTILINE))
ALERTS_PAGE = (ROOT / "docs/alerts.md").read_text()


def golden_rules() -> Iterator[Any]:
    for path in sorted((FOLDER / "serving").glob("*.yaml")):
        found = [each for each in yaml.safe_load_all(path.read_text()) if each["kind"] == "PrometheusRule"]
        yield from (pytest.param(each, id=path.stem) for each in found)


@pytest.mark.parametrize("rule", [*golden_rules()])
def test_prometheus_takes_every_rule_that_we_render(rule: dict[str, Any], promtool: Promtool) -> None:
    assert "SUCCESS" in promtool.check(rule)


def test_prometheus_takes_the_rules_of_two_engines_side_by_side(promtool: Promtool) -> None:
    rule = prometheus_rule(model_of(), Running(frozenset({"vLLM", "LlamaCpp"}), grouped=False, downloads=False, on_gpus=True))
    (saturated,) = (each for each in rule["spec"]["groups"][0]["rules"] if each.get("alert") == "AllodSaturated")
    assert all(name in saturated["expr"] for name in ("vllm:", "llamacpp:"))
    assert "SUCCESS" in promtool.check(rule)


def test_a_rule_that_prometheus_would_refuse_is_found(promtool: Promtool) -> None:
    rule = rule_of()
    rule["spec"]["groups"][0]["rules"][0]["expr"] = "max("
    with pytest.raises(AssertionError, match="could not parse expression"):
        promtool.check(rule)


@pytest.fixture
def pages() -> set[str]:
    """Names of vLLM's real page, of the watchdog in it, and of the operator's own. The rungs cluster and vllm ask the live ones."""
    programs = "".join(path.read_text() for path in (ROOT / "images/engine").glob("*.py"))
    watchdog = set(re.findall(r'(?:Gauge|Counter)\("(allod_\w+)"', programs))
    operator = Metrics().page().decode()
    return on_page(REAL) | watchdog | on_page(operator)


def test_every_name_that_the_rules_read_is_on_a_real_page(pages: set[str]) -> None:
    assert asked_for(rule_of()) - pages == set()


def test_a_name_that_no_page_has_is_found(pages: set[str]) -> None:
    rule = rule_of()
    rule["spec"]["groups"][0]["rules"].append({"alert": "A", "expr": 'vllm:gpu_cache_usage_perc{namespace="ai"} > 0.9'})
    assert asked_for(rule) - pages == {"vllm:gpu_cache_usage_perc"}


def test_every_alert_has_its_row_in_the_docs_with_its_severity_and_level() -> None:
    """Of vLLM and of llama.cpp; and the page names none that is no more."""
    rules = [rule_of(), rule_of(engine={"type": "LlamaCpp"}, health={}, resources={"memory": "1Gi"})]
    alerts = [each for rule in rules for each in rule["spec"]["groups"][0]["rules"] if "alert" in each]
    expected = {(each["alert"], each["labels"]["severity"], each["labels"]["level"]) for each in alerts}
    late = {(name, "warning", "business") for name in ("AllodFirstTokenLate", "AllodAnswersLate", "AllodTokensSlow")}
    rows = set(re.findall(r"^\| `(Allod\w+)` \| (\w+) \| (\w+) \|", ALERTS_PAGE, re.MULTILINE))
    assert rows == expected | late


def test_the_sections_that_alerts_point_to_are_there() -> None:
    sentences = [each["annotations"]["description"] for each in rule_of()["spec"]["groups"][0]["rules"] if "alert" in each]
    assert all("docs/troubleshooting.md" in each or "kubectl" in each for each in sentences)
    named = {section for each in sentences for section in re.findall(r"troubleshooting.md, section (\w+)", each)}
    assert named <= HEADINGS
    assert {"SLOErrors", "NotScraped", "OperatorSilent", "Saturated", "EngineHung", "Flapping"} <= named


def test_every_reason_that_an_alert_may_name_has_its_section() -> None:
    sources = [each.read_text() for folder in ("domain", "reconcile") for each in (ROOT / "operator/allod" / folder).rglob("*.py")]
    bad = r'Condition\(\s*(?:"(?:Ready|StandbyReady|GPUsAvailable)"|KIND), "False", "(\w+)"|yield Finding\(\s*"(\w+)"'
    found = {reason for source in sources for pair in re.findall(bad, source) for reason in pair if reason}
    answers = (ROOT / "operator/allod/domain/serving/answers.py").read_text()
    found |= set(re.findall(r'^        return "([A-Z]\w+)", f?"', answers, re.MULTILINE))
    assert {"Unavailable", "StandbyRemoved", "PodsNotReady", "PrometheusUnavailable"} <= found, (
        "the pattern no longer matches how conditions are written"
    )
    assert found - set(NOT_URGENT) - set(BY_INTENT) <= HEADINGS


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0s"), (30, "30s"), (90, "90s"), (120, "2m"), (3600, "1h"), (5400, "90m"), (0.5, "500ms"), (90.25, "90250ms")],
)
def test_lengths_of_time_are_written_as_prometheus_reads_them(seconds: float, written: str) -> None:
    assert span(seconds) == written
