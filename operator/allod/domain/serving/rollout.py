"""How a model gets from one revision to another: which revision has how many replicas, and which one is at home.

A replica is one pod, or a group of pods with one engine; here it is one thing, and called a pod.

The home is the revision that traffic belongs to. Where the Service really points, there or at the standby, is `route.py`'s to decide; what
is decided here is only whether traffic has to wait on the standby (`handoff`). One step from what is to what is next; every step is safe
to repeat and to lose, and the same position gives the same step:

    nothing ---- first revision ----> settled(A)

                    new spec: B                    B serves (or A is worthless)            B held for its bake time
      settled(A) ----------------> rolling(A, B) -----------------------------> baking(B, A) ----------------------> settled(B), A gone
                                     |        |                                      |
                        B given up   |        |  spec goes back to A                 |  B fails within its bake time
                  settled(A), B has 0 <        > settled(A), B gone                   > back(A), B has 0

How `rolling` exchanges the pods is the strategy's: Surge starts B beside A, in steps of `surge` pods; Recreate ends A first;
StandbyHandoff moves traffic to the standby, then does as Recreate. Surge does so too when no GPUs are free for B and a standby is ready.
Canary starts B beside A as Surge does, and stays in `rolling` while B gets a share of the Gateway's traffic, until `canary` says that it is
through. When A is lost meanwhile, B gets all of the Gateway's traffic at once, and is at home when A does not come back.

Where the complexity comes from: A and B may each fail, come back, or lose their GPUs at every arrow, and a third revision may be wanted at
every arrow. So nothing is remembered of the way: a step looks at pods alone, and there are never more than two revisions with pods.

Invariants (property tests hold them under random failures, restarts, edits and losses of status):
- the home does not leave a revision that has ready pods for one that has none, unless the strategy says so;
- a revision that traffic is on is never removed, and one that it left only after it was seen to have left, the Gateway's traffic too;
- at most two revisions have pods, and together no more than `wanted + surge` are asked for on the way up;
- a revision that was given up gets no pods until the spec changes or somebody asks for it;
- it comes to rest.

A revision that never served and does not now is worthless: it is not waited for, so a first revision that cannot start never blocks
the GPUs that its correction needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from allod.domain.serving.canary.canary import Course

Strategy = Literal["Surge", "Recreate", "StandbyHandoff", "Canary"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How one revision does."""

    pods: int = 0
    """Pods that its StatefulSet asks for."""
    ready: int = 0
    """Pods that serve."""
    leaving: int = 0
    """Pods that end, and hold their GPUs meanwhile."""
    proven: bool = False
    """All its pods were ready at one time: it can serve."""
    good: bool = False
    """It held for its bake time."""
    failed: bool = False
    """Given up until the spec changes."""
    short: bool = False
    """A pod of it finds no GPUs."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a model stands."""

    desired: str | None
    """The revision that the spec asks for. None: the spec is refused, so no revision is made of it."""
    wanted: int
    """`spec.replicas`."""
    home: str | None
    """Where the Service was seen to point, or would if traffic were not on the standby. None: there is no Service yet."""
    standings: Mapping[str, Standing] = field(default_factory=dict)
    fallback: str | None = None
    """The newest good revision that is neither at home nor desired: where traffic returns when those fail."""
    strategy: Strategy = "Surge"
    surge: int | None = None
    """Pods beyond `wanted` while two revisions are exchanged. None: as many as `wanted`."""
    on_standby: bool = False
    """The Service was seen to point at the standby."""
    standby_ready: bool = False
    """It could take over, or has."""
    shares: Mapping[str, int] = field(default_factory=dict)
    """Percent of the Gateway's traffic by revision, as its route was seen to say."""
    follows: bool = True
    """The Gateway was seen to have taken in what its route says now."""
    deaf: bool = False
    """It has not for so long that somebody was told."""
    course: Course | None = None
    """What is next for the desired revision as a canary. None: it is no canary."""

    def of(self, revision: str | None) -> Standing:
        """A revision that nobody saw yet has nothing."""
        return self.standings.get(revision or "", Standing())

    @property
    def beside(self) -> bool:
        """Whether the new pods start while the old ones run."""
        return self.strategy in ("Surge", "Canary")

    @property
    def most(self) -> int:
        """Pods of two revisions together."""
        if not self.beside:
            return self.wanted
        return self.wanted + (self.wanted if self.surge is None else self.surge)


@dataclass(frozen=True, slots=True)
class Step:
    """What is next."""

    allocation: Mapping[str, int]
    """Pods by revision; one that is absent goes."""
    home: str | None
    handoff: bool = False
    """Traffic has to be on the standby for the rollout's sake, as soon as that is ready and until the home is."""
    share: int = 0
    """Percent of the Gateway's traffic for the desired revision, while it is not at home."""


def next_step(at: Position) -> Step:
    """Take one step. At rest the step changes nothing."""
    step = _next(at)
    leaves = [name for name, each in at.standings.items() if name != step.home and step.allocation.get(name, 0) < each.pods]
    if any(name in at.shares for name in leaves):
        return _recalled(at, step)
    if not leaves or at.follows:
        return step
    # What was given up answers nobody who may still be sent there, and holds its GPUs.
    ends = {name: step.allocation.get(name, 0) for name in leaves if at.deaf and at.of(name).failed}
    there = _there(at, step) | ends
    return replace(step, allocation=there, home=step.home if there.get(step.home or "") else at.home)


def _recalled(at: Position, step: Step) -> Step:
    """The Gateway's traffic leaves first, the pods go in the next step."""
    return Step(_there(at, step), at.home)


def _there(at: Position, step: Step) -> dict[str, int]:
    """Pods as they are."""
    return {name: standing.pods for name, standing in at.standings.items() if standing.pods or name in step.allocation}


def _next(at: Position) -> Step:
    if at.desired is None:
        return _hold(at)
    if at.home is None:
        return Step({at.desired: _full(at, at.desired)}, at.desired)
    # A corrected spec is on its way forward; what failed for good is on its way back.
    if at.of(at.home).failed and at.of(at.desired).failed and at.fallback:
        return _back(at, at.home, at.fallback)
    if at.home == at.desired:
        return _settled(at, at.home)
    if at.course and (at.of(at.home).ready or at.course.weight or at.course.holds) and not at.of(at.home).failed:
        return _trying(at, at.course, at.home, at.desired)
    return _rolling(at, at.home, at.desired)


def _hold(at: Position) -> Step:
    """What serves goes on serving, and may still go back within its bake time, whatever else is wrong."""
    if at.home is None:
        return Step({}, None)
    return _back(at, at.home, at.fallback) if at.of(at.home).failed and at.fallback else _settled(at, at.home)


def _settled(at: Position, home: str) -> Step:
    """At home in the revision that the spec asks for. While it bakes, the pods of the one before it stay."""
    new, before = at.of(home), _kept_for_bake(at, home)
    waits = at.on_standby and not new.failed and new.ready < at.wanted
    if before is None or (new.ready and (new.short or not at.beside)):  # the new pods need the GPUs of the old
        return Step({home: _full(at, home)}, home, handoff=waits)
    old = at.of(before)
    if old.ready and not new.ready and not new.failed and at.wanted:
        # It lost its last pod: `survey` gives it up in this very look, unless nobody knows yet whose fault it is.
        return Step({before: old.pods, home: new.pods}, before)
    return Step({before: _shrunk(at, old, new), home: _grown(at, old, new)}, home)


def _kept_for_bake(at: Position, home: str) -> str | None:
    new = at.of(home)
    over = new.good or new.failed or not at.wanted
    others = (name for name, standing in at.standings.items() if name != home and standing.pods and standing.proven and not standing.failed)
    return None if over else max(others, key=lambda name: at.of(name).ready, default=None)


def _back(at: Position, failed: str, good: str) -> Step:
    """The home failed within its bake time: to the last good one, which may have no pods any more."""
    old, new = at.of(failed), at.of(good)
    if new.ready >= max(1, min(old.ready, at.wanted)):
        return Step({good: _full(at, good), failed: old.pods}, good)
    # What still answers, if badly, goes on until the other does, or until the standby has taken over because there is no room for both.
    if at.beside:
        crowded = new.short and old.pods > 0
        stays = old.pods if old.ready and not (crowded and at.on_standby) else 0
        return Step({good: _full(at, good), failed: stays}, failed, handoff=crowded and at.standby_ready)
    if at.strategy == "StandbyHandoff" and old.ready and not at.on_standby:
        return Step({good: new.pods, failed: old.pods}, failed, handoff=at.standby_ready)
    room = not old.pods and not old.leaving
    return Step({good: _full(at, good) if room else new.pods, failed: 0}, failed, handoff=at.on_standby)


def _rolling(at: Position, home: str, desired: str) -> Step:
    old, new = at.of(home), at.of(desired)
    if new.failed:
        return Step({home: _full(at, home), desired: 0}, home)
    if _worthless(old):
        return _abandon(at, home, desired)
    if _may_move(at, old, new):
        return Step({home: old.pods, desired: new.pods}, desired)
    if at.strategy == "Recreate":
        return Step({home: 0, desired: 0}, home)
    if at.strategy == "StandbyHandoff" or (new.short and at.standby_ready):
        return _handoff(at, home, desired)
    return Step({home: _shrunk(at, old, new), desired: _grown(at, old, new)}, home)


def _trying(at: Position, course: Course, home: str, desired: str) -> Step:
    """A canary. The active one keeps all its pods: it may have to take everything back at any time."""
    if course.through:
        return Step({home: at.of(home).pods, desired: at.of(desired).pods}, desired)
    started = at.of(desired).pods if course.blocked else _full(at, desired)
    return Step({home: _full(at, home), desired: started}, home, share=course.weight)


def _abandon(at: Position, home: str, desired: str) -> Step:
    """Nothing is lost with the old pods, if there are any; only their GPUs may not be free yet."""
    old, new = at.of(home), at.of(desired)
    if not at.beside and (old.pods or old.leaving):
        return Step({home: 0, desired: 0}, home, handoff=at.on_standby)
    kept = min(old.pods, at.wanted)
    return Step({home: kept, desired: _grown(at, old, new)}, desired, handoff=at.on_standby and new.ready < at.wanted)


def _handoff(at: Position, home: str, desired: str) -> Step:
    """Traffic first, then the old pods; the new ones follow when the old have gone."""
    if not at.on_standby or (at.of(home).ready and not at.standby_ready):
        return Step({home: at.of(home).pods, desired: at.of(desired).pods}, home, handoff=at.standby_ready)
    return Step({home: 0, desired: at.of(desired).pods}, home, handoff=True)


def _worthless(old: Standing) -> bool:
    return not old.ready and (not old.proven or not old.pods)


def _may_move(at: Position, old: Standing, new: Standing) -> bool:
    """Traffic goes to what serves with as many pods as are wanted, or as the old one still has. Any is better than none."""
    if not old.ready:
        return new.ready > 0
    if new.ready >= at.wanted:
        return True
    return new.ready > 0 and new.ready >= old.pods and _stepwise(at)


def _stepwise(at: Position) -> bool:
    return at.surge is not None and at.surge < at.wanted


def _grown(at: Position, old: Standing, new: Standing) -> int:
    """Pods of what comes: as many as there is room for beside what goes. None is taken away again."""
    if new.failed:
        return 0
    return max(min(new.pods, at.wanted), min(at.wanted, at.most - min(old.pods, at.wanted)))


def _shrunk(at: Position, old: Standing, new: Standing) -> int:
    """Pods of what goes. More of them than there are would take the GPUs that what comes needs."""
    kept = min(old.pods, at.wanted)
    if not _stepwise(at) or not new.pods or new.ready < new.pods or _grown(at, old, new) > new.pods:
        return kept
    room = at.most - at.wanted  # beside the whole of what comes
    return max(kept - room, room if new.pods >= at.wanted else 0)


def _full(at: Position, revision: str) -> int:
    return 0 if at.of(revision).failed else at.wanted
