"""What was seen and what follows, together: the ground of status, conditions and events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from allod.domain.serving import wanted
from allod.domain.serving.canary import gateway
from allod.domain.serving.crossroads import silent_for, waking
from allod.domain.serving.health import leaving
from allod.domain.serving.standby import drill as drills
from allod.domain.serving.standby import standby as standbys

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from allod.domain.serving.canary.canary import Course
    from allod.domain.serving.decision import Away
    from allod.domain.serving.groups.regroup import Regroup
    from allod.domain.serving.health.finding import Finding
    from allod.domain.serving.revisionfacts import RevisionFacts
    from allod.domain.serving.rollout import Step
    from allod.domain.serving.route import Route
    from allod.domain.serving.seen import Seen
    from allod.domain.serving.standby.drill import Drill, Result
    from allod.domain.serving.survey import Survey


@dataclass(frozen=True, slots=True)
class Outcome:
    """One decision, before it is told to anyone."""

    seen: Seen
    found: Survey
    step: Step
    route: Route
    away: Away | None
    """The standby's pods that answer, or are to."""
    drill: Drill | None
    """Of the standby, when one runs or begins."""
    refused: Finding | None
    """Why no revision is made of the spec."""
    now: datetime
    course: Course | None = None
    """How far the new revision is as a canary, while it is one."""
    regroups: tuple[Regroup, ...] = ()
    """Groups that are started anew."""

    @property
    def unit(self) -> str:
        """What a replica is, for sentences."""
        return "pod" if self.seen.model.spec.nodes == 1 else "group"

    @property
    def weights(self) -> dict[str, int]:
        """Percent of the Gateway's traffic by what gets it, revisions by hash. Empty without a Gateway."""
        if self.step.home is None or self.seen.model.spec.rollout.canary.parent_ref is None:
            return {}
        if self.away:
            return {self.away.model: 100}
        if self.seen.model.spec.suspend and self.found.shares:
            return dict(self.found.shares)  # as it stands, whatever the spec asks for meanwhile
        share = {self.found.desired.hash: self.step.share} if self.step.share else {}
        return ({self.step.home: 100 - self.step.share} if self.step.share < 100 else {}) | share  # noqa: PLR2004  # all of them

    @property
    def wanted(self) -> int:
        """Replicas that it should have."""
        return wanted.wanted(self.seen)

    @property
    def active(self) -> RevisionFacts | None:
        """The revision that traffic belongs to, once it is remembered."""
        return None if self.step.home is None else self.found.facts.get(self.step.home)

    @property
    def standby_pods(self) -> int:
        """Pods that answer in place of the model's own."""
        return standbys.answering(self.seen, self.away.model) if self.away else 0

    @property
    def needs_standby(self) -> bool:
        """Whether it should be ready now: a cold one starts for it."""
        standby, active = self.found.standby, self.active
        if standby is None:
            return False
        if self.away or (self.drill and not self.drill_ended):
            return True
        if standby.hopeless or self.seen.model.spec.suspend:
            return False
        lost = active is not None and active.proven and not active.ready and self.wanted > 0 and not self.waking
        handoff = self.seen.model.spec.rollout.strategy == "StandbyHandoff" and self.rolling and not self.failed and not self.refused
        return lost or (handoff and not standbys.hopeless(standby.lacks))

    @property
    def waking(self) -> bool:
        """It starts again from no replicas, and nothing is wrong with it: no reason to start a standby too."""
        return waking(self.seen, self.active) and not (self.active and self.active.finding)

    @property
    def silent_for(self) -> timedelta | None:
        """How long no pod at home has served. None: nobody can tell."""
        return silent_for(self.seen, self.active, self.now) if self.active else None

    @property
    def drill_ended(self) -> tuple[Result, str] | None:
        """How a drill ends in this very look, and a sentence."""
        if self.drill is None or self.drill.begins or (self.seen.model.spec.suspend and self.drill.until is not None):
            return None
        return drills.ended(self.seen, self.found, self.drill, self.route, self.now)

    @property
    def failed(self) -> bool:
        """Whether what the spec asks for was given up."""
        return bool(self.desired and self.desired.failed)

    @property
    def desired(self) -> RevisionFacts | None:
        """The revision that the spec asks for, once it is remembered."""
        return self.found.facts.get(self.found.desired.hash)

    @property
    def subject(self) -> RevisionFacts | None:
        """The revision that conditions about model, memory and GPUs are about."""
        return self.desired or (self.active if self.refused else None)

    @property
    def rolling(self) -> bool:
        """Whether traffic is not where the spec wants it."""
        return self.step.home != self.found.desired.hash

    @property
    def trouble(self) -> Finding | None:
        """The one thing that a person should know first: a refusal, traffic that waits, what is wrong with what is wanted, then serves."""
        if self.refused or self.route.waits:
            return self.refused or self.route.waits
        if self.course and self.course.blocked:
            return gateway.problem(self.seen)
        for facts in (self.desired, self.active):
            if facts and facts.finding and (self.wanted or facts.failed):
                return facts.finding
        if standbys.hopeless(self.held_up):
            return self.held_up
        return leaving.stuck(self.seen, self.now) if self.wanted else None

    @property
    def held_up(self) -> Finding | None:
        """Why the standby cannot take over, where a rollout waits for that. None: none does."""
        spec = self.seen.model.spec
        waits = spec.rollout.strategy == "StandbyHandoff" and self.rolling and not self.away and not spec.suspend
        serves = self.active is not None and self.active.ready > 0
        standby = self.found.standby
        return standby.imperfect if standby and waits and serves and not self.failed and not self.refused else None
