"""What a reconcile is going to do, as data: tests read it, `allod plan` prints it, `reconcile/apply.py` carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import timedelta

    from allod.domain.manifest import Manifest, Ref


@dataclass(frozen=True, slots=True)
class Event:
    """One sentence in `kubectl describe`: a step that was taken, never the mere fact of a reconcile."""

    reason: str
    """CamelCase, at most 128 characters."""
    message: str
    """A sentence for a person, with the numbers that decided; of which `kubectl describe` shows the first 1,024 bytes."""
    type: Literal["Normal", "Warning"] = "Normal"


@dataclass(frozen=True, slots=True)
class Ending:
    """One pod that is ended, exactly this and no later one of its name."""

    pod: Manifest
    grace: int | None
    """Seconds; None: its own."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that one reconcile wants. Carrying it out twice changes nothing the second time."""

    objects: tuple[Manifest, ...] = ()
    """Children as they should be, in the order of applying. Those that already are so are not sent."""
    delete: tuple[Ref, ...] = ()
    """Children that must go, after `objects` were applied. Absent ones are no error."""
    endings: tuple[Ending, ...] = ()
    """Pods that hang, and those of groups that lost a rank. Their StatefulSets make them anew."""
    marks: tuple[Manifest, ...] = ()
    """Pods with just the label or the annotation that changes, and their uids; after `objects` were applied."""
    status: Manifest | None = None
    """The whole new status. Not written when it equals the one that was read. None: leave it alone."""
    events: tuple[Event, ...] = ()
    requeue_after: timedelta | None = None
    """Look again after this long even if nothing happens: a deadline is near. None: the usual resync is enough."""
