"""The steps of a canary, each told once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allod.domain.quantity import count
from allod.domain.serving.canary import canary, gateway

if TYPE_CHECKING:
    from allod.domain.serving.outcome import Outcome


def step(outcome: Outcome) -> dict[str, Any] | None:
    """Its weight is another than the last status says. What was given up is told of by `story` itself."""
    course, home = outcome.course, outcome.step.home
    if course is None or outcome.away or course.through or home == outcome.found.desired.hash or outcome.step.share == _before(outcome):
        return None
    ends = {"from": home, "to": outcome.found.desired.hash}
    if not outcome.step.share:
        waits = f", {course.waits}{_why(outcome)}" if not course.weight else ": they are taken back before pods go"
        return {"action": "CanaryPaused", **ends, "cause": f"no requests for the present{waits}"}
    if outcome.step.share == 100:  # noqa: PLR2004  # all of them
        return {"action": "CanaryStandsIn", **ends, "cause": "no pod of the active revision serves: all requests of the Gateway"}
    steps, number = outcome.seen.model.spec.rollout.canary.steps, course.stage.step
    held = f"{canary.held(steps, number - 1)}{_compared(outcome)}: " if number > 1 and _before(outcome) else ""
    return {"action": "CanaryStep", **ends, "cause": f"{held}{course.weight} percent of the requests, step {number} of {len(steps)}"}


def through(outcome: Outcome) -> str:
    """What a canary has behind it that gets everything by this decision. Empty: it was none."""
    if outcome.course is None or not outcome.course.through:
        return ""
    return f"held {count(len(outcome.seen.model.spec.rollout.canary.steps), 'step')}{_compared(outcome)}"


def _before(outcome: Outcome) -> int:
    weights = (outcome.seen.status.get("traffic") or {}).get("weights") or ()
    return next((int(each["weight"]) for each in weights if each["name"] == outcome.found.desired.hash), 0)


def _compared(outcome: Outcome) -> str:
    duel = outcome.seen.duel
    return f", {count(duel.sample(), 'request')} compared" if duel and canary.rules(outcome.seen.model.spec) else ""


def _why(outcome: Outcome) -> str:
    found = gateway.problem(outcome.seen) or (outcome.desired.finding if outcome.desired else None)
    return f": {found.message}" if found else ""
