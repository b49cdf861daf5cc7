"""What was seen and what follows, together: the ground of status, conditions and events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from allod.domain.serving.finding import Finding
    from allod.domain.serving.rollout import Step
    from allod.domain.serving.seen import Seen
    from allod.domain.serving.survey import RevisionFacts, Survey


@dataclass(frozen=True, slots=True)
class Outcome:
    """One decision, before it is told to anyone."""

    seen: Seen
    found: Survey
    step: Step
    refused: Finding | None
    """Why no revision is made of the spec."""
    now: datetime

    @property
    def wanted(self) -> int:
        """`spec.replicas`."""
        return self.seen.model.spec.replicas

    @property
    def active(self) -> RevisionFacts | None:
        """The revision that traffic goes to, once it is remembered."""
        return None if self.step.route is None else self.found.facts.get(self.step.route)

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
        return self.step.route != self.found.desired.hash

    @property
    def trouble(self) -> Finding | None:
        """The one thing that a person should know first: a refusal, what is wrong with what is wanted, then with what serves."""
        if self.refused:
            return self.refused
        for facts in (self.desired, self.active):
            if facts and facts.finding and (self.wanted or facts.failed):
                return facts.finding
        return None
