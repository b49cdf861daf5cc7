"""How a model gets from one revision to another: which revision has how many pods, and where the Service points.

One step from what is to what is next. Every step is safe to repeat and to lose, and the same position gives the same step:

    nothing ---- first revision ----> serving(A)

                      new spec: B                  B ready (or A worthless)              Service seen at B
      serving(A) ------------------> starting(A, B) ----------------------> moved(A, B) -----------------> serving(B), A removed
                                        |      |
                          B given up    |      |  spec goes back to A
                     failed(A; B has 0) <      > serving(A), B removed

Invariants (property tests hold them under random failures, restarts and edits):
- the Service does not leave a revision that has ready pods for one that has none;
- a revision that the Service points at is never removed, and one that it left only after it was seen to have left;
- at most two revisions have pods: what serves and what is wanted;
- a revision that was given up gets no pods until the spec changes;
- it comes to rest.

A revision that never served and does not now is worthless: it is not waited for, so a first revision that cannot start never blocks
the GPUs that its correction needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Standing:
    """How one revision does."""

    pods: int = 0
    """Pods that its StatefulSet asks for."""
    ready: int = 0
    """Pods that serve."""
    good: bool = False
    """All its pods were ready at one time."""
    failed: bool = False
    """Given up until the spec changes."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a model stands."""

    desired: str | None
    """The revision that the spec asks for. None: the spec is refused, so no revision is made of it."""
    wanted: int
    """`spec.replicas`."""
    route: str | None
    """Where the Service was seen to point. None: there is no Service yet."""
    standings: Mapping[str, Standing] = field(default_factory=dict)

    def of(self, revision: str) -> Standing:
        """A revision that nobody saw yet has nothing."""
        return self.standings.get(revision, Standing())


@dataclass(frozen=True, slots=True)
class Step:
    """What is next."""

    allocation: Mapping[str, int]
    """Pods by revision; one that is absent goes."""
    route: str | None


def next_step(at: Position) -> Step:
    """Take one step. At rest the step changes nothing."""
    if at.desired is None:
        return Step({} if at.route is None else {at.route: _full(at, at.route)}, at.route)
    if at.route is None or at.route == at.desired:
        return Step({at.desired: _full(at, at.desired)}, at.desired)
    old, new = at.of(at.route), at.of(at.desired)
    if _may_move(at, old, new):
        return Step({at.route: old.pods, at.desired: _full(at, at.desired)}, at.desired)
    # More pods of what is on its way out would take the GPUs that what comes needs.
    kept = _full(at, at.route) if new.failed else min(old.pods, at.wanted)
    return Step({at.route: kept, at.desired: _full(at, at.desired)}, at.route)


def _may_move(at: Position, old: Standing, new: Standing) -> bool:
    if not old.ready:
        worthless = not old.good or not old.pods
        return worthless or new.ready > 0
    return not new.failed and new.ready >= at.wanted


def _full(at: Position, revision: str) -> int:
    return 0 if at.of(revision).failed else at.wanted
