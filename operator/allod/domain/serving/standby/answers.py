"""The conditions of a model that has a standby: could it take over, and has it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.domain.conditions import Condition
from allod.domain.quantity import count
from allod.domain.serving.standby import drill

if TYPE_CHECKING:
    from allod.domain.serving.outcome import Outcome


REASONS = {"Failover": "FailedOver", "Handoff": "HandedOff", "Drill": "Drill"}


def conditions(outcome: Outcome) -> tuple[Condition, ...]:
    """Both."""
    return (standby_ready(outcome), failed_over(outcome))


def standby_ready(outcome: Outcome) -> Condition:
    """Could the standby take over now? A cold one is as it should be, and not ready."""
    found = outcome.found.standby
    if found is None or not outcome.seen.model.spec.standby:
        return Condition("StandbyReady", "False", "StandbyRemoved", "spec.standby is gone and traffic is still there")
    asked = drill.waits(outcome.seen, outcome.found, outcome.drill)
    if problem := found.imperfect or drill.verdict(outcome.seen):
        return Condition("StandbyReady", "False", problem.reason, problem.message + asked)
    return Condition("StandbyReady", "True", "Serving", f"{count(found.ready_pods, 'pod')} of {found.name} could answer{asked}")


def failed_over(outcome: Outcome) -> Condition:
    """Does the standby answer for the model?"""
    if not outcome.away:
        return Condition("FailedOver", "False", "AtHome", "traffic goes to the model itself")
    waits = f": {outcome.route.waits.message}" if outcome.route.waits else ""
    reason = outcome.route.waits.reason if outcome.route.waits else REASONS[outcome.route.why or "Failover"]
    return Condition("FailedOver", "True", reason, f"traffic goes to {outcome.away.model}{waits}")
