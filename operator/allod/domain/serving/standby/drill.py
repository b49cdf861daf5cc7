"""The standby is tried before it is needed: traffic really goes there for a while and comes back, and what that took is told.

      a wish or the schedule,                it is ready                       standby.drill.duration is over
      and the model is well
    idle ----------------------> asked ---------------------> traffic is there ------------------------------> idle: Passed
                                   |                                 |
                                   | not ready in time               | it lost its last ready pod: traffic comes back at once
                                   > idle: Failed                    > idle: Failed

What is no fault of the standby (the model fails meanwhile, a rollout needs it, a person brings traffic back) ends a drill as Interrupted.
The status remembers that a drill runs before traffic moves for it: a status that is lost or could not be written costs a drill, never more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from allod.domain.conditions import timestamp
from allod.domain.quantity import duration
from allod.domain.serving import crossroads
from allod.domain.serving.health.finding import Finding
from allod.domain.serving.standby.schedule import next_time
from allod.domain.serving.wishes import noted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from allod.api.rollout import Drill as Wish
    from allod.domain.serving.rollout import Step
    from allod.domain.serving.route import Route
    from allod.domain.serving.seen import Seen
    from allod.domain.serving.survey import Survey

ANNOTATION = "allod.dev/drill"
"""Any value asks for one drill; another value for another one."""
LATE = timedelta(minutes=5)
"""So long after its time a scheduled drill still begins: an operator that was away does not make up for a night at noon."""
PATIENCE = timedelta(minutes=30)
"""For a standby that does not get ready, where `standby.maxActivation` says nothing."""
DURATION = timedelta(seconds=30)
"""Of a drill by annotation, where `standby.drill` says nothing."""

Result = Literal["Passed", "Failed", "Interrupted"]


@dataclass(frozen=True, slots=True)
class Drill:
    """One that runs, or begins in this look."""

    standby: str
    cause: str
    since: datetime
    """When it was asked for."""
    begins: bool
    """In this look: traffic moves in the next one, when the status knows of it."""
    gives_up: datetime
    """When a standby that is not ready yet has failed it."""
    until: datetime | None
    """When traffic goes back. None: it has not moved yet."""
    activation: timedelta | None
    """From `since` until traffic moved."""
    calm: bool = True
    """The model is as it should be."""

    def wants_traffic(self, now: datetime) -> bool:
        """Whether traffic should be on the standby for its sake."""
        return not self.begins and (self.calm or self.until is not None) and now < (self.until or self.gives_up)


def drill(seen: Seen, found: Survey, step: Step, now: datetime) -> Drill | None:
    """The one that runs or begins. None: neither."""
    standby = seen.model.spec.standby
    running = (seen.status.get("standby") or {}).get("drill")
    if running:
        return _running(seen, found, running, now, calm=_calm(found, step))
    if standby is None or seen.model.spec.suspend or not _to_be_tried(found) or not _calm(found, step):
        return None
    if cause := _asked(seen, now):
        return Drill(
            standby.model_deployment_ref.name, cause, now, begins=True, gives_up=now + _patience(seen), until=None, activation=None
        )
    return None


def due(seen: Seen, runs: Drill | None, now: datetime) -> Iterator[datetime]:
    """When the drill that runs turns, or the next one is asked for, of which no event tells."""
    wished = wish(seen)
    if runs:
        yield from (moment for moment in (runs.until or runs.gives_up,) if moment > now)
    elif wished and not seen.model.spec.suspend and (asked_at := next_time(wished, now)):
        yield asked_at


def ended(seen: Seen, found: Survey, now_runs: Drill, route: Route, now: datetime) -> tuple[Result, str] | None:
    """How the drill ends in this look, and a sentence. None: it goes on."""
    if found.standby is None or found.standby.name != now_runs.standby:
        return "Interrupted", f"the spec names {found.standby.name if found.standby else 'no standby'} in place of {now_runs.standby}"
    if now_runs.until is None:
        return _before_it_moved(seen, found, now_runs, route, now)
    if route.to == "Standby":
        return None if route.why == "Drill" else ("Interrupted", _instead(route))
    there = _told(now - (now_runs.until - _duration(seen)))
    if now >= now_runs.until:
        return "Passed", f"{now_runs.standby} answered for {there}"
    if not found.standby.ready:
        return "Failed", f"{now_runs.standby} lost its last ready pod after {there}"
    return "Interrupted", f"traffic was brought back after {there}"


def _before_it_moved(seen: Seen, found: Survey, runs: Drill, route: Route, now: datetime) -> tuple[Result, str] | None:
    if found.on_standby or (route.to == "Standby" and route.why != "Drill"):
        return "Interrupted", _instead(route)
    if seen.model.spec.suspend or not runs.calm:
        return "Interrupted", "the model was suspended" if seen.model.spec.suspend else "the model changed or was not whole any more"
    if route.to == "Home" and now >= runs.gives_up:
        because = f": {found.standby.problem.message}" if found.standby and found.standby.problem else ""
        return "Failed", f"{runs.standby} was not ready within {duration(_patience(seen).total_seconds())}{because}"
    return None


def document(runs: Drill, moved_at: datetime | None) -> dict[str, Any]:
    """As in `status.standby.drill`. `moved_at`: traffic moves for it in this look."""
    activation = moved_at - runs.since if moved_at else runs.activation
    told = {"startedAt": timestamp(runs.since), "cause": runs.cause, "standby": runs.standby}
    return told | ({"activationSeconds": f"{activation.total_seconds():.1f}"} if activation is not None else {})


def waits(seen: Seen, found: Survey, runs: Drill | None) -> str:
    """The end of a sentence about a drill that a person asked for and that the model itself keeps from beginning. Empty: there is none."""
    if runs or not _by_hand(seen) or not _to_be_tried(found):
        return ""
    when = "every pod of the model serves and nothing rolls, bakes or is suspended"
    return f"; the drill that annotation {ANNOTATION} asks for begins when {when}"


def verdict(seen: Seen) -> Finding | None:
    """What the last drill says against the standby."""
    standby, last = seen.model.spec.standby, (seen.status.get("standby") or {}).get("lastDrill") or {}
    if standby is None or last.get("standby") != standby.model_deployment_ref.name:
        return None
    if last.get("result") == "Failed":
        return Finding("DrillFailed", f"the drill of {last['time']} failed: {last.get('message', '')}")
    took = last.get("activationSeconds")
    if last.get("result") == "Passed" and took and standby.max_activation and float(took) > standby.max_activation.seconds:
        slow = f"in the drill of {last['time']} it took {took} s until {last['standby']} had the traffic"
        return Finding("DrillTooSlow", f"{slow}, and standby.maxActivation is {standby.max_activation}")
    return None


def _running(seen: Seen, found: Survey, told: Mapping[str, Any], now: datetime, *, calm: bool) -> Drill:
    since = datetime.fromisoformat(told["startedAt"])
    traffic = seen.status.get("traffic") or {}
    there = found.on_standby and crossroads.why(seen) == "Drill"
    # A move that nobody could write so counts from now on.
    moved = datetime.fromisoformat(traffic["since"]) if traffic.get("target") == "Standby" and traffic.get("since") else now
    took = told.get("activationSeconds")
    return Drill(
        standby=told["standby"],
        cause=told["cause"],
        since=since,
        begins=False,
        gives_up=since + _patience(seen),
        until=moved + _duration(seen) if there else None,
        activation=timedelta(seconds=float(took)) if took else None,
        calm=calm,
    )


def _asked(seen: Seen, now: datetime) -> str | None:
    """Why one is to begin now."""
    if _by_hand(seen):
        return f"annotation {ANNOTATION}"
    wished, last = wish(seen), (seen.status.get("standby") or {}).get("lastDrill") or {}
    if wished is None:
        return None
    after = max(datetime.fromisoformat(last["time"]), now - LATE) if "time" in last else now - LATE
    asked_at = next_time(wished, after)
    return f"schedule {wished.schedule} {wished.time_zone}" if asked_at and asked_at <= now else None


def _by_hand(seen: Seen) -> bool:
    wanted = seen.model.metadata.annotations.get(ANNOTATION)
    return wanted is not None and seen.status.get("drilled") != noted(wanted)


def _to_be_tried(found: Survey) -> bool:
    """The standby has no traffic, and could answer all of the model's clients, be it after a start."""
    return not found.on_standby and found.standby is not None and not (found.standby.hopeless or found.standby.lacks)


def _calm(found: Survey, step: Step) -> bool:
    """The model is as it should be, so a drill puts nobody at risk who is not safe."""
    home = found.facts.get(found.home or "")
    if home is None or not (step.home == found.home == found.desired.hash):
        return False
    alone = [name for name, facts in found.facts.items() if facts.asked] == [found.home]
    return alone and home.good and not home.finding and home.ready == home.asked


def wish(seen: Seen) -> Wish | None:
    """What the spec wants of drills."""
    return seen.model.spec.standby.drill if seen.model.spec.standby else None


def _duration(seen: Seen) -> timedelta:
    wished = wish(seen)
    return timedelta(seconds=wished.duration.seconds) if wished else DURATION


def _patience(seen: Seen) -> timedelta:
    most = seen.model.spec.standby.max_activation if seen.model.spec.standby else None
    return timedelta(seconds=most.seconds) if most else PATIENCE


def _told(time: timedelta) -> str:
    return duration(round(time.total_seconds()))


def _instead(route: Route) -> str:
    return "a rollout needs the standby" if route.why == "Handoff" else "the model failed meanwhile, and the standby answers for it"
