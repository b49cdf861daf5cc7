"""What `route` decides by, read from the world."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from allod.domain.names import STANDS_IN
from allod.domain.serving import pod as pods
from allod.domain.serving import wishes
from allod.domain.serving.health.evidence import lost
from allod.domain.serving.route import RETURNS_WINDOW, Crossroads, Why
from allod.domain.serving.standby import standby as standbys
from allod.domain.serving.wanted import wanted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from allod.domain.manifest import Manifest
    from allod.domain.serving.revisionfacts import RevisionFacts
    from allod.domain.serving.rollout import Step
    from allod.domain.serving.seen import Seen
    from allod.domain.serving.survey import Survey

ASLEEP, WAKING = "ScaledToZero", "Waking"
"""Reasons of Ready=False: `spec.replicas` is 0, and it is no longer."""

RETURNED = "Recovered"
"""The step of `status.history` by which traffic came back from the standby after a failure."""


def crossroads(seen: Seen, found: Survey, step: Step, now: datetime, *, drill: bool = False) -> Crossroads:
    """Read it. `step` says where the home is next, and whether the rollout needs the standby; `drill`, whether a drill does."""
    home, failover = found.facts.get(step.home or ""), seen.model.spec.health.failover
    return Crossroads(
        at="Standby" if found.on_standby else "Home",
        why=why(seen) if found.on_standby else None,
        handoff=step.handoff,
        rolling=step.home != found.desired.hash,
        waking=waking(seen, home),
        drill=drill,
        home_ready=_stays_ready(found, home, step),
        home_wanted=wanted(seen),
        home_proven=bool(home and home.proven),
        home_silent_for=_silence(seen, home, now),
        home_ready_for=(_ready_for(seen, home, now) if home else None) or timedelta(),
        standby_ready=bool(found.standby and found.standby.ready),
        after=timedelta(seconds=failover.after.seconds),
        hold=timedelta(seconds=failover.hold_for.seconds),
        automatic=failover.recovery == "Automatic",
        # Who takes the standby out of the spec does not want to wait until the model has held.
        asked_back=wishes.returns(seen, step.home) or (found.on_standby is not None and not seen.model.spec.standby),
        returns_lately=_returns(seen, now),
        moved_lately=seen.moved_lately,
    )


def _stays_ready(found: Survey, home: RevisionFacts | None, step: Step) -> int:
    """Away from home, pods that this very step ends are none to return to."""
    ready = home.ready if home else 0
    return min(ready, step.allocation.get(step.home or "", 0)) if found.on_standby else ready


def silent_for(seen: Seen, home: RevisionFacts, now: datetime) -> timedelta | None:
    """How long no pod at home has served. None: nobody can tell."""
    return _since([_lost_at(seen, pod) for pod in home.leaders], now)


def _silence(seen: Seen, home: RevisionFacts | None, now: datetime) -> timedelta:
    told = silent_for(seen, home, now) if home else None
    return _not_ready_for(seen, now) if told is None else told


def _not_ready_for(seen: Seen, now: datetime) -> timedelta:
    """By our own word: pods that are gone tell nothing any more."""
    told = _told_ready(seen)
    since = told.get("lastTransitionTime") if told.get("status") == "False" else None
    return max(now - datetime.fromisoformat(since), timedelta()) if since else timedelta()


def _told_ready(seen: Seen) -> Mapping[str, Any]:
    """The condition Ready as the last status has it."""
    return next((each for each in seen.status.get("conditions") or [] if each.get("type") == "Ready"), {})


def _ready_for(seen: Seen, home: RevisionFacts, now: datetime) -> timedelta | None:
    return _since([_ready_at(seen, pod) for pod in home.leaders], now)


def why(seen: Seen) -> Why:
    """Why the standby serves, as the Service says; one of an older operator says nothing, but the status does."""
    noted = ((standbys.service(seen) or {}).get("metadata", {}).get("annotations") or {}).get(STANDS_IN)
    told = noted or (seen.status.get("traffic") or {}).get("reason")
    return "Handoff" if told == "Handoff" else "Drill" if told == "Drill" else "Failover"


def waking(seen: Seen, home: RevisionFacts | None) -> bool:
    """It had no replicas until a moment ago, as our own word says: its pods are not lost, they start."""
    return bool(home and not home.ready) and _told_ready(seen).get("reason") in (ASLEEP, WAKING)


def _since(moments: Sequence[datetime | None], now: datetime) -> timedelta | None:
    """Since the last of all; None when there is none, or one is not known."""
    known = [moment for moment in moments if moment]
    if not known or len(known) < len(moments):
        return None
    return max(now - max(known), timedelta())  # a node's clock may be ahead of ours


def _lost_at(seen: Seen, pod: Manifest) -> datetime | None:
    """By the kubelet's word or by our own ears, whichever came first."""
    beat = lost(seen, pod)
    times = [time for time in (_transition(pod, "False"), beat.since if beat else None) if time]
    return min(times, default=None)


def _ready_at(seen: Seen, pod: Manifest) -> datetime | None:
    """When both agreed that it serves."""
    ready, beat = _transition(pod, "True"), seen.beats.get(pod["metadata"].get("uid", ""))
    if ready is None or lost(seen, pod):
        return None
    return max(ready, beat.since) if beat and beat.state == "Serving" else ready


def _transition(pod: Manifest, status: str) -> datetime | None:
    ready = pods.condition(pod, "Ready")
    since = ready.get("lastTransitionTime")
    return datetime.fromisoformat(since) if ready.get("status") == status and since else None


def _returns(seen: Seen, now: datetime) -> int:
    steps = (step for step in seen.status.get("history") or [] if step.get("action") == RETURNED)
    return sum(now - datetime.fromisoformat(step["time"]) < RETURNS_WINDOW for step in steps)
