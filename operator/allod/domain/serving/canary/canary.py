"""How far a new revision has come on its way to all of the traffic: from where it stands, the time and what was seen, to the next weight.

    not begun --- fit, and the Gateway sends ---> step 1 --- held, enough compared ---> step 2 ... last step ---> through: all of it
        ^                                           |  ^
        |                                           |  |  fit again: the step's time begins anew
        +---- the Gateway does not send             >  weight 0, in the same step, while it is not fit

Whether the revision is given up is not decided here: `trial` does, from findings of which a lost comparison (`verdict`) is one.

Invariants (property tests hold them): a target without ready pods gets no weight; weights are 100 together; a revision that was given up
gets none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from allod.api.canary import Comparison
from allod.domain.conditions import timestamp
from allod.domain.quantity import count, duration
from allod.domain.serving.health.finding import Finding
from allod.domain.serving.health.slos import CALLED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from allod.api.canary import CanaryStep
    from allod.api.modeldeployment import ModelDeploymentSpec
    from allod.domain.serving.canary.contest import Contest, Duel, Side

COUNTED = timedelta(seconds=10)
"""How often it is looked whether a step has its requests: no event tells of each."""
ERRORS = Comparison.model_validate({"metric": "ErrorRatio", "maxRegressionPercent": 1})
"""What is always compared, unless the spec says it otherwise: a revision that fails its requests has no latencies by which to tell."""


def rules(spec: ModelDeploymentSpec) -> tuple[Comparison, ...]:
    """What is compared. Nothing where the strategy is another, or the engine counts neither requests nor errors."""
    if spec.rollout.strategy != "Canary" or spec.engine.type == "LlamaCpp":
        return ()
    told = spec.rollout.canary.compare
    return told if any(rule.metric == "ErrorRatio" for rule in told) else (ERRORS, *told)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a canary stands."""

    step: int = 0
    """Of the spec's steps, from 1. 0: not begun. One more than there are: through."""
    since: datetime | None = None
    """When this step began, UTC. None: it gets nothing at present."""
    compared: int = 0
    """Requests of the new revision that had been compared by then."""

    def document(self, revision: str, steps: int) -> dict[str, Any]:
        """As in `status.canary`."""
        began = {"since": timestamp(self.since), "compared": self.compared} if self.since else {}
        return {"revision": revision, "step": self.step, "steps": steps, **began}

    @classmethod
    def read(cls, written: Mapping[str, Any], revision: str) -> Stage:
        """From `status.canary`. Of another revision, or lost: not begun."""
        if written.get("revision") != revision:
            return cls()
        since = datetime.fromisoformat(written["since"]) if written.get("since") else None
        return cls(written.get("step", 0), since, written.get("compared", 0))


@dataclass(frozen=True, slots=True)
class Course:
    """What is next for a canary."""

    stage: Stage
    weight: int
    """Percent for the new revision."""
    through: bool = False
    """All steps are behind it."""
    waits: str = ""
    """For what, in a part of a sentence."""
    look_again: datetime | None = None
    """When it may go on though nothing happens."""
    blocked: bool = False
    """It could get no traffic, so no pods are started for it."""
    holds: bool = False
    """The active revision is only away for a moment, or asleep: no reason to promote what is still on trial."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """What decides about the next weight."""

    steps: Sequence[CanaryStep]
    before: Stage
    fit: bool
    """It has as many ready pods as are wanted, or as the active revision has, and traffic is at home."""
    sends: bool
    """The Gateway sends by the route's weights."""
    follows: bool
    """It has taken in the newest of them."""
    sample: int | None
    """Its requests that were compared. None: nothing is compared."""
    least: int
    """So many have to be, in each step."""
    now: datetime


def course(at: Prospect) -> Course:
    """Choose the next weight."""
    if not at.sends:
        return Course(Stage(), 0, waits="until the Gateway sends by the HTTPRoute", blocked=True)
    if not at.fit:
        return Course(Stage(at.before.step), 0, waits="until as many of its pods are ready as of the active revision")
    number = min(max(at.before.step, 1), len(at.steps))
    since = at.before.since if number == at.before.step else None
    if since is None:
        return _begin(at, number)
    if at.now < since + _hold(at, number) or not at.follows or not _enough(at):
        return _in_step(at, Stage(number, since, at.before.compared))
    if number < len(at.steps):
        return _begin(at, number + 1)
    return Course(Stage(number + 1, since), at.steps[-1].weight, through=True)


def _enough(at: Prospect) -> bool:
    """In this step, not in all: what nobody counts any more must not promote it. A new leader compares from nothing on."""
    if at.sample is None:
        return True
    before = at.before.compared if at.sample >= at.before.compared else 0
    return at.sample - before >= at.least


def _begin(at: Prospect, number: int) -> Course:
    return _in_step(at, Stage(number, at.now, at.sample or 0))


def _in_step(at: Prospect, stage: Stage) -> Course:
    step, over = at.steps[stage.step - 1], (stage.since or at.now) + _hold(at, stage.step)
    if at.now < over:
        return Course(stage, step.weight, waits=f"until {step.hold} are over", look_again=over)
    if not at.follows:
        return Course(stage, step.weight, waits="until the Gateway has taken this step in")
    waits = f"until {count(at.least, 'request')} of it were compared in this step"
    return Course(stage, step.weight, waits=waits, look_again=at.now + COUNTED)


def _hold(at: Prospect, number: int) -> timedelta:
    return timedelta(seconds=at.steps[number - 1].hold.seconds)


def verdict(duel: Duel | None, new: str, old: str | None, least: int) -> Finding | None:
    """Why the new revision is worse than the active one by more than is allowed. None: nobody can say so."""
    if duel is None or (duel.new, duel.old) != (new, old):
        return None
    lost = duel.lost(least)
    return _finding(*lost, duel.old) if lost else None


def _finding(rule: Comparison, contest: Contest, old: str) -> Finding:
    if rule.metric == "ErrorRatio":
        failed, usual = _errors(contest.new), _errors(contest.old)
        return Finding("CanaryErrors", f"errors {failed} against {usual} of {old}, {rule.max_regression_percent} percent more are allowed")
    part = rule.quantile.value if rule.quantile else 0.5
    ours, theirs = contest.new.times.quantile(part) or 0.0, contest.old.times.quantile(part) or 0.0
    percentile = f"p{(Decimal(rule.quantile or 0) * 100).normalize():f} of {CALLED[rule.metric]}"
    among = f"in {count(contest.sample(rule), 'sample')} against {round(contest.old.times.total)}"
    allowed = f"{rule.max_regression_percent} percent more are allowed"
    return Finding("CanaryLatency", f"{percentile} about {ours:.3g} s against {theirs:.3g} s of {old} {among}, {allowed}")


def _errors(side: Side) -> str:
    return f"{side.errors / side.requests if side.requests else 0:.3f} ({side.errors} of {side.requests})"


def told(course: Course, steps: int) -> str:
    """Where it stands, for a person: no number that moves with each look."""
    if not course.stage.step:
        return f"not begun: it waits {course.waits}"
    share = f"step {min(course.stage.step, steps)} of {steps}: {course.weight} percent of the requests"
    return f"{share}, {course.waits}" if course.waits else share


def held(steps: Sequence[CanaryStep], number: int) -> str:
    """`held 5m`: the step that is over."""
    return f"held {duration(steps[number - 1].hold.seconds)}"
