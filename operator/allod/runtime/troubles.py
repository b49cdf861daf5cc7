"""Why Prometheus tells nothing of a model, of each on its own: a question that it refuses says nothing of the next one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from allod.adapters.errors import Refused
from allod.runtime.complaint import Complaint

if TYPE_CHECKING:
    from allod.adapters.errors import Unavailable

    Model = tuple[str, str]
    """Namespace and name."""

AWAY = 30.0
"""Seconds without any answer after which it is told: a Prometheus that is started anew takes some."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """As a person is told of it."""

    sentence: str = ""
    """Empty: there is none."""
    refused: bool = False
    """An answer came, and it has no figures."""


NONE = Trouble()


@dataclass(slots=True)
class _Failing:
    """A model of which the last question had no answer."""

    since: float
    last: Trouble = NONE
    told: Trouble = NONE


@dataclass(slots=True)
class Troubles:
    """Of all models. What is told of any of them is logged once, too."""

    _failing: dict[Model, _Failing] = field(default_factory=dict)
    _complaint: Complaint = field(
        default_factory=lambda: Complaint("Prometheus gives no figures: objectives and canaries are not judged", "Prometheus answers again")
    )

    def of(self, model: Model) -> Trouble:
        """What is to be told of a model."""
        return self._failing[model].told if model in self._failing else NONE

    def heard(self, model: Model, problem: Unavailable | None, now: float) -> bool:
        """How the last question about a model went. Returns whether something else is to be told now.

        Told after a while; another cause when it came twice in a row, so that two that take turns are not written to each status.
        """
        if problem is None:
            return self.forget(model)
        why, known = Trouble(str(problem), isinstance(problem, Refused)), self._failing.setdefault(model, _Failing(now))
        again, known.last = why == known.last, why
        if now - known.since < AWAY or why == known.told or not (again or known.told == NONE):
            return False
        known.told = why
        return True

    def forget(self, model: Model) -> bool:
        """It has no trouble, or is gone. Returns whether there was something to be told of it."""
        was = self._failing.pop(model, None)
        return was is not None and was.told != NONE

    def log(self) -> None:
        """One of them stands for all."""
        self._complaint.say(next((each.told.sentence for each in self._failing.values() if each.told != NONE), ""))

    def nobody(self) -> None:
        """There is no model any more: nobody was asked, and nobody is there to be told."""
        self._failing.clear()
        self._complaint.problem = ""
