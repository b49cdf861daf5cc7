"""What `route` decides by, read from the world."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from allod.domain.serving import pod as pods
from allod.domain.serving import wishes
from allod.domain.serving.route import RETURNS_WINDOW, Crossroads, Why
from allod.domain.serving.wanted import wanted

if TYPE_CHECKING:
    from allod.domain.manifest import Manifest
    from allod.domain.serving.rollout import Step
    from allod.domain.serving.seen import Seen
    from allod.domain.serving.survey import RevisionFacts, Survey

RETURNED = "Recovered"
"""The step of `status.history` by which traffic came back from the standby after a failure."""


def crossroads(seen: Seen, found: Survey, step: Step, now: datetime) -> Crossroads:
    """Read it. `step` says where the home is next, and whether the rollout needs the standby."""
    home, failover = found.facts.get(step.home or ""), seen.model.spec.health.failover
    return Crossroads(
        at="Standby" if found.on_standby else "Home",
        why=_why(seen) if found.on_standby else None,
        handoff=step.handoff,
        home_ready=home.ready if home else 0,
        home_wanted=wanted(seen),
        home_proven=bool(home and home.proven),
        home_silent_for=silent_for(home, now) if home else None,
        home_ready_for=(_since(home, "True", now) if home else None) or timedelta(),
        standby_ready=bool(found.standby and found.standby.ready),
        after=timedelta(seconds=failover.after.seconds),
        hold=timedelta(seconds=failover.hold_for.seconds),
        automatic=failover.recovery == "Automatic",
        asked_back=wishes.returns(seen, step.home),
        returns_lately=_returns(seen, now),
        moved_lately=seen.moved_lately,
    )


def silent_for(home: RevisionFacts, now: datetime) -> timedelta | None:
    """How long no pod at home has served. None: nobody can tell."""
    return _since(home, "False", now)


def _why(seen: Seen) -> Why:
    reason: Literal["Handoff"] | None = (seen.status.get("traffic") or {}).get("reason")
    return "Handoff" if reason == "Handoff" else "Failover"


def _since(home: RevisionFacts, status: str, now: datetime) -> timedelta | None:
    """How long all its pods have said so; None when there are none, or one says otherwise or not since when."""
    moments = [_moment(pod, status) for pod in home.pods]
    if not moments or None in moments:
        return None
    return now - max(moment for moment in moments if moment)


def _moment(pod: Manifest, status: str) -> datetime | None:
    ready = pods.condition(pod, "Ready")
    since = ready.get("lastTransitionTime")
    return datetime.fromisoformat(since) if ready.get("status") == status and since else None


def _returns(seen: Seen, now: datetime) -> int:
    steps = (step for step in seen.status.get("history") or [] if step.get("action") == RETURNED)
    return sum(now - datetime.fromisoformat(step["time"]) < RETURNS_WINDOW for step in steps)
