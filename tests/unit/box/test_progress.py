"""What a log shows of a long step: that it still runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from box import progress
from box.progress import Progress

if TYPE_CHECKING:
    import pytest


def test_without_a_terminal_a_long_step_says_again_and_again_how_long_it_has_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "MINUTE", 0.01)
    with Progress().step("building Kubernetes", 390) as step:
        step.share = 0.45
        time.sleep(0.2)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "  building Kubernetes (about 6:30 on 2 idle cores) ..."
    assert len(said) > 3
    assert set(said[1:-1]) == {"  building Kubernetes: 0:00 so far, 45% done"}
    assert said[-1].startswith("  building Kubernetes: 0.")


def test_a_short_step_has_two_lines_and_an_estimate_for_one_core_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress().step("baking", 60, cores=1):
        pass
    assert capsys.readouterr().err.splitlines()[0] == "  baking (about 1:00 on 1 idle core) ..."
    assert progress.MINUTE == 60
