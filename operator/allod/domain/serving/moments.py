"""Moments that a status tells of, by a clock that may have been wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allod.domain.conditions import timestamp

if TYPE_CHECKING:
    from datetime import datetime

    from allod.domain.manifest import Manifest

MOMENTS = frozenset({"time", "since", "weighedAt", "startedAt", "readySince", "troubledSince", "goodSince", "lastTransitionTime"})
"""Fields of a status that hold one. All are written in one format, so that the order of the text is the order of time."""


def past(model: Manifest, now: datetime) -> Manifest:
    """A model in whose status no moment is still to come: those of a clock that ran ahead and was set back count as now.

    Whoever reads it writes them so, too. Else each look would take them for now, and what waits for a time to pass would wait until
    theirs has come.
    """
    return {**model, "status": _past(model["status"], timestamp(now))} if "status" in model else model


def _past(told: Any, now: str) -> Any:
    if isinstance(told, dict):
        return {key: min(part, now) if key in MOMENTS and isinstance(part, str) else _past(part, now) for key, part in told.items()}
    return [_past(each, now) for each in told] if isinstance(told, list) else told
