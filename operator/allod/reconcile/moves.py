"""Which models this operator moved to their standbys a short while ago: the blast radius of one pair of eyes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from allod.domain.serving.route import MOVED_WINDOW

if TYPE_CHECKING:
    from allod.domain.manifest import Manifest, Ref


class Moves:
    """Counts models, not moves: one that flaps is one model.

    Kept in memory. A new leader, who looks at every model once to begin with, finds the moves of the one before in their histories.
    """

    def __init__(self) -> None:
        self._moved: dict[Ref, datetime] = {}

    def others(self, than: Ref, now: datetime) -> int:
        """Models other than this one that were moved lately."""
        self._moved = {model: when for model, when in self._moved.items() if now - when < MOVED_WINDOW}
        return sum(model != than for model in self._moved)

    def note(self, model: Ref, before: Manifest, after: Manifest | None, now: datetime) -> None:
        """Take note when its traffic has left for the standby, by the status before and after, or left lately, by the history before."""
        if (left := _left(before)) is not None:
            self._moved.setdefault(model, left)
        went = (after or {}).get("traffic", {})
        was = (before.get("status") or {}).get("traffic") or {}
        if went.get("target") == "Standby" and went.get("reason") == "Failover" and was.get("target") != "Standby":
            self._moved[model] = now


def _left(model: Manifest) -> datetime | None:
    history = (model.get("status") or {}).get("history") or ()
    times = (step["time"] for step in history if step.get("action") == "FailedOver")
    return next((datetime.fromisoformat(time) for time in times), None)
