"""Which models went to their standbys a short while ago: the blast radius of one pair of eyes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from allod.domain.serving.moments import past
from allod.domain.serving.route import MOVED_WINDOW

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from allod.domain.manifest import Manifest


def left(model: Manifest, now: datetime) -> datetime | None:
    """When a model last went to its standby because it was lost, by its history. None: not lately."""
    history = (past(model, now).get("status") or {}).get("history") or ()
    times = (datetime.fromisoformat(step["time"]) for step in history if step.get("action") == "FailedOver")
    return next((time for time in times if now - time < MOVED_WINDOW), None)


def leaves(model: Manifest, status: Manifest | None) -> bool:
    """Whether it goes there now, by its status and the decided one."""
    went, was = (status or {}).get("traffic") or {}, (model.get("status") or {}).get("traffic") or {}
    return went.get("target") == "Standby" and went.get("reason") == "Failover" and was.get("target") != "Standby"


def lately(models: Iterable[Manifest], now: datetime) -> dict[str, datetime]:
    """When each went, by uid. Models are counted, not moves: one that flaps is one model."""
    return {model["metadata"]["uid"]: when for model in models if (when := left(model, now))}


def still(moved: Mapping[str, datetime], now: datetime) -> dict[str, datetime]:
    """Those that count for longer. What a clock tells that was set back since counts as now."""
    return {uid: min(when, now) for uid, when in moved.items() if now - when < MOVED_WINDOW}
