"""The one decision about a ModelDeployment: from everything that was seen to everything that is to be.

Pure: the same input gives the same decision. What is refused makes no revision, what serves goes on serving.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from allod.domain.serving import story
from allod.domain.serving.decision import Decision
from allod.domain.serving.outcome import Outcome
from allod.domain.serving.refusals import refusal
from allod.domain.serving.rollout import Position, Step, next_step
from allod.domain.serving.status import status
from allod.domain.serving.survey import Survey, survey

if TYPE_CHECKING:
    from datetime import datetime

    from allod.domain.serving.finding import Finding
    from allod.domain.serving.revision import Revision
    from allod.domain.serving.seen import Seen

HISTORY_LIMIT = 5
"""Revisions that are remembered beyond those with pods: the ones that a person may want to go back to."""


def decide(seen: Seen, now: datetime) -> Decision:
    """Decide what becomes of the model. `now` is UTC with its zone."""
    if seen.model.metadata.deletion_timestamp:
        return Decision(hands_off=True)
    found = survey(seen, now)
    refused = refusal(seen)
    suspended = seen.model.spec.suspend
    step = _as_it_is(found) if suspended else next_step(_position(seen, found, refused))
    outcome = Outcome(seen, found, step, None if suspended else refused, now)
    steps = story.steps(outcome)
    return Decision(
        revisions=_kept(found, step),
        allocation=step.allocation,
        route=step.route,
        hands_off=suspended,
        status=status(outcome, steps),
        events=story.events(outcome, steps),
        requeue_after=found.look_again(now),
    )


def _position(seen: Seen, found: Survey, refused: Finding | None) -> Position:
    name = found.desired.hash
    runs = name in found.facts and found.facts[name].asked is not None
    return Position(
        desired=None if refused and not runs else name,
        wanted=seen.model.spec.replicas,
        route=found.route,
        standings={revision: facts.standing for revision, facts in found.facts.items()},
    )


def _as_it_is(found: Survey) -> Step:
    return Step({name: facts.asked for name, facts in found.facts.items() if facts.asked is not None}, found.route)


def _kept(found: Survey, step: Step) -> tuple[Revision, ...]:
    """Revisions with pods, the desired one with the highest number, and the newest of those that were good."""
    busy = {name for name, facts in found.facts.items() if name in step.allocation or facts.asked is not None}
    idle = [name for name, facts in found.facts.items() if name not in busy and facts.good_since is not None]
    kept = busy | set(idle[-HISTORY_LIMIT:])
    revisions = [facts.revision for name, facts in found.facts.items() if name in kept and name != found.desired.hash]
    if found.desired.hash in step.allocation:
        highest = max((revision.number for revision in revisions), default=0)
        number = found.desired.number if found.desired.number > highest else found.newest + 1
        revisions.append(replace(found.desired, number=number))
    elif found.desired.hash in kept:
        revisions.append(found.desired)
    return tuple(sorted(revisions, key=lambda revision: (revision.number, revision.hash)))
