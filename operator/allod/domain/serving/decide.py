"""The one decision about a ModelDeployment: from everything that was seen to everything that is to be.

Pure: the same input gives the same decision. What is refused makes no revision, what serves goes on serving.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from allod.domain.names import RANK
from allod.domain.serving import page, story
from allod.domain.serving.adapters.answers import behind
from allod.domain.serving.canary import candidate, gateway
from allod.domain.serving.crossroads import crossroads, why
from allod.domain.serving.decision import Away, Decision
from allod.domain.serving.groups import regroup
from allod.domain.serving.groups.turn import in_turn
from allod.domain.serving.health import leaving, sideline
from allod.domain.serving.health.fence import due, fenced, told
from allod.domain.serving.outcome import Outcome
from allod.domain.serving.refusals import gives_way, goes_on, refusal
from allod.domain.serving.rollout import Position, Step, next_step
from allod.domain.serving.route import Route, next_route
from allod.domain.serving.standby import drill as drills
from allod.domain.serving.standby.standby import selected_revision, selector
from allod.domain.serving.status import status
from allod.domain.serving.survey import Survey, survey
from allod.domain.serving.wanted import wanted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from allod.domain.serving.canary.canary import Course
    from allod.domain.serving.health.finding import Finding
    from allod.domain.serving.revision import Revision
    from allod.domain.serving.seen import Seen


def decide(seen: Seen, now: datetime) -> Decision:
    """Decide what becomes of the model. `now` is UTC with its zone."""
    found = survey(seen, now)
    refused = refusal(seen, found)
    suspended = seen.model.spec.suspend
    trying = candidate.candidate(seen, found, now)
    if suspended:
        step, route = _as_it_is(found), Route("Standby", why(seen)) if found.on_standby else Route("Home")
    else:
        step = in_turn(found, next_step(_position(seen, found, refused, trying, now)))
    runs = drills.drill(seen, found, step, now)
    if not suspended:
        route = next_route(crossroads(seen, found, step, now, drill=runs is not None and runs.wants_traffic(now)))
    away = _away(seen, found, route)
    regroups = () if suspended else regroup.regrouped(seen, found, step, now)
    outcome = Outcome(seen, found, step, route, away, runs, None if suspended else refused, now, trying, regroups)
    steps = story.steps(outcome)
    fence = () if suspended else fenced(seen, found, route, now)
    turned = () if suspended else sideline.turns(seen, found, now)
    return Decision(
        revisions=_kept(seen, found, step),
        allocation=step.allocation,
        home=step.home,
        away=away,
        behind=behind(seen, found),
        share=(found.desired.hash, step.share) if step.share else None,
        fence=fence,
        regroups=regroups,
        turned=turned,
        hands_off=suspended,
        status=status(outcome, steps),
        events=(*story.events(outcome, steps), *told(seen, fence), *sideline.told(turned)),
        requeue_after=_look_again(route, list(_moments(outcome)), now),
    )


def _moments(outcome: Outcome) -> Iterator[datetime]:
    """When something turns of which no event tells."""
    seen, found, now = outcome.seen, outcome.found, outcome.now
    yield from found.look_again(now)
    yield from due(seen, found, outcome.route, now)
    yield from regroup.due(seen, found, outcome.step, now)
    yield from sideline.due(seen, found, now)
    yield from candidate.due(outcome.course)
    yield from (moment for moment in (gateway.given_up_at(seen), gateway.settled_at(seen)) if moment and moment > now)
    yield from drills.due(seen, outcome.drill, now)
    yield from leaving.due(seen, now)
    yield from page.due(outcome)


def _position(seen: Seen, found: Survey, refused: Finding | None, trying: Course | None, now: datetime) -> Position:
    rollout = seen.model.spec.rollout
    return Position(
        desired=None if refused and not goes_on(found, refused) else found.desired.hash,
        wanted=wanted(seen),
        home=None if gives_way(seen, found) else found.home,
        standings={revision: facts.standing for revision, facts in found.facts.items()},
        fallback=found.fallback,
        strategy=rollout.strategy,
        surge=rollout.max_surge,
        on_standby=found.on_standby is not None,
        standby_ready=bool(found.standby and not found.standby.imperfect),
        shares=found.shares,
        follows=gateway.follows(seen, now),
        deaf=gateway.deaf(seen, now) is not None,
        course=trying,
    )


def _as_it_is(found: Survey) -> Step:
    pods = {name: facts.asked for name, facts in found.facts.items() if facts.asked is not None}
    return Step(pods, found.home, share=found.shares.get(found.desired.hash, 0) if found.desired.hash != found.home else 0)


def _away(seen: Seen, found: Survey, route: Route) -> Away | None:
    """The pods of the standby that the Service selects; those that it selects already when nobody knows better."""
    if route.to == "Home":
        return None
    name = found.standby.name if found.standby and (found.standby.ready or not found.on_standby) else found.on_standby
    newest = found.standby.revision if found.standby and found.standby.name == name else None
    revision = newest or selected_revision(seen)
    grouped = bool(found.standby and found.standby.grouped) if newest else RANK in selector(seen)
    return Away(name, revision, route.why or "Failover", grouped) if name and revision else None


def _look_again(route: Route, moments: list[datetime], now: datetime) -> timedelta | None:
    waits = [moment - now for moment in moments] + ([route.look_again] if route.look_again else [])
    return max(min(waits), timedelta(seconds=1)) if waits else None


def _kept(seen: Seen, found: Survey, step: Step) -> tuple[Revision, ...]:
    """Revisions with pods, the desired one with the highest number, and the newest of those that were good."""
    busy = {name for name, facts in found.facts.items() if name in step.allocation or facts.asked is not None}
    idle = [name for name, facts in found.facts.items() if name not in busy and facts.good]
    kept = busy | set(idle[-seen.model.spec.rollout.history_limit :])
    revisions = [facts.revision for name, facts in found.facts.items() if name in kept and name != found.desired.hash]
    if found.desired.hash in step.allocation:
        highest = max((revision.number for revision in revisions), default=0)
        number = found.desired.number if found.desired.number > highest else found.newest + 1
        revisions.append(replace(found.desired, number=number))
    elif found.desired.hash in kept:
        revisions.append(found.desired)
    return tuple(sorted(revisions, key=lambda revision: (revision.number, revision.hash)))
