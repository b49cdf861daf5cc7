"""Groups of one model get their nodes one after the other: two that each hold a part of the GPUs would wait for each other for ever."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from allod.domain.serving import pod as pods

if TYPE_CHECKING:
    from allod.domain.serving.decision import Decision
    from allod.domain.serving.rollout import Step
    from allod.domain.serving.survey import Survey


def in_turn(found: Survey, step: Step) -> Step:
    """The step with no more groups than those that have all their nodes, and one. None that is there goes for that."""
    return replace(step, allocation={name: _started(found, name, replicas) for name, replicas in step.allocation.items()})


def in_full(decision: Decision, replicas: int) -> Decision:
    """A first decision with all groups at once, for who wants to see what there will be."""
    return replace(decision, allocation=dict.fromkeys(decision.allocation, replicas))


def _started(found: Survey, name: str, replicas: int) -> int:
    facts = found.facts.get(name)
    revision = facts.revision if facts else found.desired
    if revision.nodes == 1:
        return replicas
    placed = sum(group.whole and all(pods.is_placed(pod) for pod in group.pods) for group in facts.groups) if facts else 0
    return min(replicas, max(facts.asked or 0 if facts else 0, placed + 1))
