"""How many pods a model is to have: what its spec says, and one for others whose standby it is, while they need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from allod.domain.serving.seen import Seen


def wanted(seen: Seen) -> int:
    """Pods that serve. A cold standby has one for as long as somebody needs it."""
    return max(seen.model.spec.replicas, 1 if needed_by(seen) else 0)


def needed_by(seen: Seen) -> tuple[str, ...]:
    """Names of the models that want this one to answer for them now."""
    me = seen.model.metadata.name
    return tuple(sorted(other.name for other in seen.neighbours if other.traffic == me or (other.standby == me and other.needs_standby)))
