"""One revision as the decision sees it: its pods, its trial, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from allod.contracts.inspection import Inspection, inspection
from allod.domain.serving import pod as pods
from allod.domain.serving.rollout import Standing

if TYPE_CHECKING:
    from datetime import datetime

    from allod.domain.manifest import Manifest
    from allod.domain.serving.groups.group import Group
    from allod.domain.serving.health.finding import Finding
    from allod.domain.serving.revision import Revision
    from allod.domain.serving.trial import Trial


@dataclass(frozen=True, slots=True)
class RevisionFacts:
    """How one revision does."""

    revision: Revision
    asked: int | None
    """Replicas that are asked for. None: it has no StatefulSet."""
    groups: tuple[Group, ...]
    """Its replicas, as far as there are pods of them."""
    ready: int
    """Replicas that serve."""
    trial: Trial
    finding: Finding | None
    """What is wrong with it, if anything."""
    failed: bool
    """Given up until the spec changes; `finding` says why."""
    deadline: datetime | None = None
    """When its trial may come out otherwise though nothing happens."""

    @property
    def pods(self) -> tuple[Manifest, ...]:
        """All that are not leaving."""
        return tuple(pod for group in self.groups for pod in group.pods)

    @property
    def leaders(self) -> tuple[Manifest, ...]:
        """Those that answer requests: one of each replica."""
        return tuple(group.leader for group in self.groups if group.leader)

    @property
    def replicas(self) -> int:
        """Replicas that have pods, leaving ones apart."""
        return sum(bool(group.pods) for group in self.groups)

    @property
    def leaving(self) -> int:
        """Replicas of which pods are leaving."""
        return sum(bool(group.leaving) for group in self.groups)

    @property
    def proven(self) -> bool:
        """It has served, with one replica at least: by its status, or in this life of its pods."""
        return self.trial.served or any(pods.has_served(pod) for pod in self.leaders)

    @property
    def good(self) -> bool:
        """It held for its bake time."""
        return self.trial.good_since is not None

    @property
    def inspection(self) -> Inspection | None:
        """What the inspection of its model said, if a pod got so far."""
        found = (pods.container(pod, pods.INSPECT) for pod in self.pods)
        read = (inspection(container.ended.get("message", "")) for container in found if container)
        return next((result for result in read if result), None)

    @property
    def standing(self) -> Standing:
        """What the rollout needs to know of it."""
        short = self.finding is not None and self.finding.reason == "InsufficientGPUs"
        return Standing(self.asked or 0, self.ready, self.leaving, self.proven, self.good, self.failed, short)
