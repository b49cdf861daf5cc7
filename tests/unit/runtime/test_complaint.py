from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from allod.runtime.complaint import Complaint

if TYPE_CHECKING:
    import pytest


def test_a_problem_is_logged_once_and_once_that_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "allod"):
        complaint = Complaint("it cannot be listed", "it is known", "nobody has tried yet")
        for problem in ("nobody has tried yet", "no answer", "no answer", "forbidden", "", "", "no answer"):
            complaint.say(problem)
            assert complaint.problem == problem
    assert [(each.levelname, each.message, each.__dict__.get("why")) for each in caplog.records] == [
        ("WARNING", "it cannot be listed", "no answer"),
        ("WARNING", "it cannot be listed", "forbidden"),
        ("INFO", "it is known", None),
        ("WARNING", "it cannot be listed", "no answer"),
    ]
