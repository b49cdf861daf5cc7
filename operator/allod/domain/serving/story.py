"""What happened, told once: events for `kubectl describe`, and the last of them in status.

A step is told when the last status does not know of it. So a decision that is repeated tells nothing twice, and one whose status could
not be written is told again rather than never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allod.domain.conditions import timestamp
from allod.domain.plan import Event
from allod.domain.serving import answers
from allod.domain.serving.revision import changes
from allod.domain.serving.survey import written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from allod.domain.conditions import Condition
    from allod.domain.serving.outcome import Outcome

Steps = list[dict[str, Any]]
"""As in `status.history`: time, action, from, to, cause."""

LONGEST_NOTE = 1024
"""Of an event, Kubernetes' limit."""
TROUBLES = frozenset({"RevisionFailed"})


def steps(outcome: Outcome) -> Steps:
    """What this decision does that the last status does not know of, newest last."""
    if outcome.seen.model.spec.suspend:
        return []
    told = (_created(outcome), _failed(outcome), _moved(outcome))
    return [{"time": timestamp(outcome.now)} | step for step in told if step]


def events(outcome: Outcome, taken: Steps) -> tuple[Event, ...]:
    """Steps, then what turned for better or worse."""
    told = [Event(step["action"], _note(step), "Warning" if step["action"] in TROUBLES else "Normal") for step in taken]
    turned = (_turned(outcome, answers.degraded(outcome)), _turned(outcome, answers.ready(outcome)))
    known = {event.message for event in told}
    return (*told, *(event for event in turned if event and event.message not in known))


def _created(outcome: Outcome) -> dict[str, Any] | None:
    desired, seen = outcome.found.desired, outcome.seen
    if desired.hash not in outcome.step.allocation:
        return None
    before = written(seen, desired.hash)
    if before and seen.status.get("desiredRevision") == desired.hash:
        return None
    old = outcome.found.facts.get(outcome.found.route or "")
    if old is None or old.revision.hash == desired.hash:
        return None if before else {"action": "RevisionCreated", "to": desired.hash, "cause": "the first one"}
    action = "RevisionRestored" if before else "RevisionCreated"
    cause = changes(old.revision.snapshot, desired.snapshot)
    return {"action": action, "from": old.revision.hash, "to": desired.hash, "cause": cause}


def _failed(outcome: Outcome) -> dict[str, Any] | None:
    desired = outcome.desired
    if desired is None or not desired.failed or desired.finding is None:
        return None
    name = desired.revision.hash
    before = written(outcome.seen, name)
    if before.get("state") == "Failed" and before.get("message") == desired.finding.message:
        return None
    return {"action": "RevisionFailed", "from": name, "cause": desired.finding.message}


def _moved(outcome: Outcome) -> dict[str, Any] | None:
    before = (outcome.seen.status.get("traffic") or {}).get("name")
    after = outcome.step.route
    if before is None or after is None or before == after:
        return None
    ready = outcome.active.ready if outcome.active else 0
    return {"action": "TrafficMoved", "from": before, "to": after, "cause": f"{ready} of {outcome.wanted} pods ready"}


def _note(step: dict[str, Any]) -> str:
    match step["action"]:
        case "TrafficMoved":
            note = f"{step['from']} -> {step['to']}: {step['cause']}"
        case "RevisionFailed":
            note = f"revision {step['from']} was given up: {step['cause']}"
        case _:
            note = f"revision {step['to']}: {step['cause']}"
    return note[:LONGEST_NOTE]


def _turned(outcome: Outcome, answer: Condition) -> Event | None:
    """A condition that now says something else, when that is worth a line."""
    before: Mapping[str, Any] = next((old for old in outcome.seen.status.get("conditions") or [] if old.get("type") == answer.type), {})
    if answer.type == "Degraded":
        worse = answer.status == "True" and before.get("reason") != answer.reason and not _is_failure(outcome)
        return Event(answer.reason, answer.message[:LONGEST_NOTE], "Warning") if worse else None
    if answer.status == "True" and before.get("status") != "True":
        return Event("Ready", answer.message[:LONGEST_NOTE])
    if answer.status == "False" and before.get("status") == "True":
        return Event("NotReady", answer.message[:LONGEST_NOTE], "Warning" if outcome.wanted else "Normal")
    return None


def _is_failure(outcome: Outcome) -> bool:
    return bool(outcome.desired and outcome.desired.failed and not outcome.refused)
