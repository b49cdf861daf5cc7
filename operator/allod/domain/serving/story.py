"""What happened, told once: events for `kubectl describe`, and the last of them in status.

A step is told when the last status does not know of it. So a decision that is repeated tells nothing twice, and one whose status could
not be written is told again rather than never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allod.domain.conditions import timestamp
from allod.domain.plan import Event
from allod.domain.quantity import duration
from allod.domain.serving import answers, page, wishes
from allod.domain.serving.adapters import answers as adapteranswers
from allod.domain.serving.canary import story as canarystory
from allod.domain.serving.crossroads import RETURNED
from allod.domain.serving.groups import regroup
from allod.domain.serving.revision import changes
from allod.domain.serving.survey import written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from allod.domain.conditions import Condition
    from allod.domain.serving.outcome import Outcome

Steps = list[dict[str, Any]]
"""As in `status.history`: time, action, from, to, cause."""

TROUBLES = frozenset({"RevisionFailed", "RolledBack", "FailedOver", "DrillFailed", regroup.RESTARTED, page.PAGED})


def steps(outcome: Outcome) -> Steps:
    """What this decision does that the last status does not know of, newest last."""
    revisions = (_created(outcome), _retried(outcome), _failed(outcome), canarystory.step(outcome))
    told = (*revisions, *_restarted(outcome), _moved(outcome), _drilled(outcome), _good(outcome), page.paged(outcome))
    if outcome.seen.model.spec.suspend:  # nothing is done: what is found is told all the same
        told = (_failed(outcome),)
    return [{"time": timestamp(outcome.now)} | step for step in told if step]


def events(outcome: Outcome, taken: Steps) -> tuple[Event, ...]:
    """Steps, then what turned for better or worse."""
    told = [Event(step["action"], _note(step), "Warning" if step["action"] in TROUBLES else "Normal") for step in taken]
    turned = (_turned(outcome, answers.degraded(outcome)), _turned(outcome, answers.ready(outcome)))
    known = {event.message for event in told}
    return (*told, *(event for event in turned if event and event.message not in known), *adapteranswers.events(outcome))


def _created(outcome: Outcome) -> dict[str, Any] | None:
    desired, seen = outcome.found.desired, outcome.seen
    if desired.hash not in outcome.step.allocation:
        return None
    before = written(seen, desired.hash)
    if before and seen.status.get("desiredRevision") == desired.hash:
        return None
    old = outcome.found.facts.get(outcome.found.home or "")
    if old is None or old.revision.hash == desired.hash:
        return None if before else {"action": "RevisionCreated", "to": desired.hash, "cause": "the first one"}
    action = "RevisionRestored" if before else "RevisionCreated"
    cause = (
        changes(old.revision.snapshot, desired.snapshot)
        if old.revision.snapshot
        else f"nobody remembers what {old.revision.hash} was made of"
    )
    return {"action": action, "from": old.revision.hash, "to": desired.hash, "cause": cause}


def _retried(outcome: Outcome) -> dict[str, Any] | None:
    """What was given up gets another try."""
    again = [
        name for name, facts in outcome.found.facts.items() if not facts.failed and written(outcome.seen, name).get("state") == "Failed"
    ]
    if not again:
        return None
    by_hand = outcome.seen.model.metadata.annotations.get(wishes.RETRY) in again
    return {"action": "RevisionRetried", "to": again[0], "cause": f"by the annotation {wishes.RETRY}" if by_hand else "the spec was edited"}


def _failed(outcome: Outcome) -> dict[str, Any] | None:
    desired = outcome.desired
    if desired is None or not desired.failed or desired.finding is None:
        return None
    name = desired.revision.hash
    before = written(outcome.seen, name)
    if before.get("state") == "Failed" and before.get("message") == desired.finding.message:
        return None
    return {"action": "RevisionFailed", "from": name, "cause": desired.finding.message}


def _restarted(outcome: Outcome) -> Steps:
    """Groups that lost a rank. What tells of it is gone with their pods, so this is told when it is done."""
    return [{"action": regroup.RESTARTED, "from": each.name, "cause": each.cause} for each in outcome.regroups]


def _moved(outcome: Outcome) -> dict[str, Any] | None:
    """Traffic goes elsewhere: between revisions, to the standby, or back from it."""
    before, after = outcome.seen.status.get("traffic") or {}, outcome.step.home
    if not before.get("name") or after is None:
        return None
    if outcome.away:
        in_earnest = before.get("reason") == "Drill" and outcome.route.why != "Drill"
        return _left(outcome, before) if before.get("target") != "Standby" or in_earnest else None
    ready = f"{outcome.active.ready if outcome.active else 0} of {outcome.wanted} {outcome.unit}s ready"
    if before.get("target") == "Standby":
        return _came_back(outcome, before, after, ready)
    if before["name"] == after:
        return None
    left = outcome.found.facts.get(before["name"])
    if left and left.failed and left.finding:
        return {"action": "RolledBack", "from": before["name"], "to": after, "cause": f"{left.finding.message}; {ready}"}
    through = canarystory.through(outcome)
    return {"action": "TrafficMoved", "from": before["name"], "to": after, "cause": f"{through}; {ready}" if through else ready}


def _came_back(outcome: Outcome, before: Mapping[str, Any], after: str, ready: str) -> dict[str, Any] | None:
    if not outcome.wanted and before.get("reason") != "Drill":  # it did not recover: nobody is to answer for a model that was put to sleep
        return {"action": "HandedBack", "from": before["name"], "to": after, "cause": "spec.replicas is 0"}
    action = {"Handoff": "HandedBack", "Drill": None}.get(before.get("reason", ""), RETURNED)  # `_drilled` tells of drills
    return {"action": action, "from": before["name"], "to": after, "cause": _held(outcome, ready)} if action else None


def _left(outcome: Outcome, before: Mapping[str, Any]) -> dict[str, Any]:
    standby = outcome.away.model if outcome.away else ""
    if outcome.route.why == "Drill" and outcome.drill:
        return {"action": "DrillStarted", "from": before["name"], "to": standby, "cause": outcome.drill.cause}
    if outcome.route.why == "Handoff":
        cause = "the model starts again from no replicas" if outcome.waking else "the rollout needs the GPUs of the old pods"
        return {"action": "HandedOff", "from": before["name"], "to": standby, "cause": cause}
    silent = outcome.silent_for
    since = f" for {duration(round(silent.total_seconds()))}" if silent is not None and silent.total_seconds() >= 1 else ""
    why = outcome.active.finding.message if outcome.active and outcome.active.finding else ""
    cause = f"0 of {outcome.wanted} {outcome.unit}s serve{since}" + (f": {why}" if why else "")
    left = outcome.step.home if before.get("target") == "Standby" else before["name"]  # a drill had moved it already
    return {"action": "FailedOver", "from": left, "to": standby, "cause": cause}


def _held(outcome: Outcome, ready: str) -> str:
    hold = outcome.seen.model.spec.health.failover.hold_for
    held = outcome.route.why is None and (outcome.seen.status.get("traffic") or {}).get("reason") != "Handoff"
    return f"{ready}, held {hold}" if held and not wishes.returns(outcome.seen, outcome.step.home) else ready


def _drilled(outcome: Outcome) -> dict[str, Any] | None:
    """A drill ends, and traffic with it is at home again, or where something else needs it."""
    if outcome.drill is None or outcome.drill_ended is None:
        return None
    result, message = outcome.drill_ended
    took = f", {outcome.drill.activation.total_seconds():.1f} s after it was asked for" if outcome.drill.activation is not None else ""
    return {"action": f"Drill{result}", "from": outcome.drill.standby, "to": outcome.step.home, "cause": message + took}


def _good(outcome: Outcome) -> dict[str, Any] | None:
    """A revision held for its bake time. Of the first one nobody needs to be told: there is nothing that it replaced."""
    desired = outcome.desired
    bakes = outcome.seen.model.spec.rollout.bake.seconds > 0
    if desired is None or not desired.good or len(outcome.found.facts) == 1 or not bakes:
        return None
    before = written(outcome.seen, desired.revision.hash)
    if not before or before.get("goodSince"):
        return None
    return {"action": "RevisionGood", "to": desired.revision.hash, "cause": f"it served for {outcome.seen.model.spec.rollout.bake}"}


def _note(step: dict[str, Any]) -> str:
    match step["action"]:
        case regroup.RESTARTED:
            return f"all pods of {step['from']} are started anew: {step['cause']}"
        case "RevisionFailed":
            return f"revision {step['from']} was given up: {step['cause']}"
        case page.PAGED:
            return f"a person is needed: {step['cause']}"
        case "RevisionCreated" | "RevisionRestored" | "RevisionRetried" | "RevisionGood":
            return f"revision {step['to']}: {step['cause']}"
        case _:
            return f"{step['from']} -> {step['to']}: {step['cause']}"


def _turned(outcome: Outcome, answer: Condition) -> Event | None:
    """A condition that now says something else, when that is worth a line."""
    before: Mapping[str, Any] = next((old for old in outcome.seen.status.get("conditions") or [] if old.get("type") == answer.type), {})
    if answer.type == "Degraded":
        worse = answer.status == "True" and before.get("reason") != answer.reason and not _is_failure(outcome)
        return Event(answer.reason, answer.message, "Warning") if worse else None
    if answer.status == "True" and before.get("status") != "True":
        return Event("Ready", answer.message)
    if answer.status == "False" and before.get("status") == "True":
        return Event("NotReady", answer.message, "Warning" if outcome.wanted else "Normal")
    return None


def _is_failure(outcome: Outcome) -> bool:
    return bool(outcome.desired and outcome.desired.failed and not outcome.refused)
