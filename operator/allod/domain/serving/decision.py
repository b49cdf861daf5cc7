"""What is to become of one ModelDeployment, before any manifest is written for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from allod.domain.manifest import Manifest
    from allod.domain.plan import Event
    from allod.domain.serving.groups.regroup import Regroup
    from allod.domain.serving.health.sideline import Turn
    from allod.domain.serving.revision import Revision
    from allod.domain.serving.route import Why


@dataclass(frozen=True, slots=True)
class Away:
    """Pods of another ModelDeployment that the stable Service points at."""

    model: str
    revision: str
    why: Why
    grouped: bool = False
    """Its replicas have several pods, and the first of each answers."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of `decide`: `render/serving/plan.py` turns it into manifests and deletes."""

    revisions: tuple[Revision, ...] = ()
    """Every revision that stays remembered, oldest first; one whose `statefulset` is None is new and still to be rendered."""
    allocation: Mapping[str, int] = field(default_factory=dict)
    """Replicas per revision hash. A revision that is absent here has no StatefulSet (any more)."""
    home: str | None = None
    """Hash of the revision that traffic belongs to. None: there is no Service yet, for there was never a revision."""
    away: Away | None = None
    """Where the Service points instead of there."""
    behind: tuple[Manifest, ...] = ()
    """Pods that do not know yet which adapters they are to have, and whose kubelet was not told to look."""
    share: tuple[str, int] | None = None
    """Hash of a revision on trial, and percent of the Gateway's traffic for it. None: it has none."""
    fence: tuple[Manifest, ...] = ()
    """Pods that hang and that traffic has left, with the other ranks of their groups: ended at once."""
    regroups: tuple[Regroup, ...] = ()
    """Groups that lost a rank: all their pods are ended, and made anew by their StatefulSets."""
    turned: tuple[Turn, ...] = ()
    """Pods that are taken out of every Service, or put back."""
    hands_off: bool = False
    """`spec.suspend`: report, and touch nothing."""
    status: Manifest | None = None
    """The whole new status; None leaves it alone."""
    events: tuple[Event, ...] = ()
    requeue_after: timedelta | None = None
