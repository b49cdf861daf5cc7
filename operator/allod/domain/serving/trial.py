"""How a revision is judged: whether it can serve, whether it held for its bake time, and whether it is given up.

    new ----> proven (all its pods were ready once) ----> good (served for rollout.bake)
     |           |
     |           > failed: something was wrong with it within its bake time, and an older revision can take over
     > failed: it cannot start, or not within rollout.progressDeadline

What was good is never given up: no newer cause is to blame when it degrades later, so nothing older would help.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from allod.domain.conditions import timestamp
from allod.domain.quantity import duration
from allod.domain.serving.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from allod.api.modeldeployment import ModelDeploymentSpec


@dataclass(frozen=True, slots=True)
class Rules:
    """The user's patience, from the spec."""

    bake: timedelta
    progress: timedelta
    fail_after: timedelta

    @classmethod
    def of(cls, spec: ModelDeploymentSpec) -> Rules:
        """Read them."""
        return cls(
            timedelta(seconds=spec.rollout.bake.seconds),
            timedelta(seconds=spec.rollout.progress_deadline.seconds),
            timedelta(seconds=spec.health.rollback.fail_after.seconds),
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is there to judge by."""

    now: datetime
    before: Mapping[str, Any]
    """What the last status says of the revision; empty when it does not know it."""
    asked: int
    ready: int
    whole: bool
    """As many pods are asked for as the model is to have: it is not half exchanged."""
    finding: Finding | None
    """What is wrong with its pods."""
    home_since: datetime | None
    """Since when traffic has been on it. None: it is not."""
    alone: bool = False
    """No other revision has pods, and no status tells of an earlier time."""
    given_up: Finding | None = None
    """Why it was given up before, if nobody asked to try it again."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Where it stands. Times are UTC."""

    started_at: datetime | None
    """Since when it has had pods."""
    ready_since: datetime | None
    """When all its pods were ready for the first time."""
    good_since: datetime | None
    troubled_since: datetime | None
    """Since when something has been wrong with it within its bake time."""
    trouble: Finding | None
    """What: only what it can be blamed for."""

    def document(self) -> dict[str, str]:
        """As in `status.revisions`."""
        times = {"startedAt": self.started_at, "readySince": self.ready_since, "goodSince": self.good_since}
        times |= {"troubledSince": self.troubled_since}
        return {name: timestamp(time) for name, time in times.items() if time}


def trial(seen: Evidence, rules: Rules) -> Trial:
    """Bring what the last status says up to now."""
    ready_since = _time(seen.before, "readySince") or _time(seen.before, "goodSince")
    if ready_since is None and seen.asked and seen.ready >= seen.asked:
        ready_since = seen.now
    # Time without GPUs does not count, so it begins anew when they are there.
    waits = seen.finding is not None and seen.finding.reason == "InsufficientGPUs"
    started_at = (_time(seen.before, "startedAt") or seen.now) if seen.asked and not waits else None
    good_since = _time(seen.before, "goodSince") or (seen.now if seen.alone and ready_since else None)
    if good_since or not ready_since or not seen.home_since:
        return Trial(started_at, ready_since, good_since, None, None)
    if trouble := _trouble(seen):
        return Trial(started_at, ready_since, None, _time(seen.before, "troubledSince") or seen.now, trouble)
    baked = seen.whole and seen.now - max(ready_since, seen.home_since) >= rules.bake
    return Trial(started_at, ready_since, seen.now if baked else None, None, None)


def verdict(seen: Evidence, found: Trial, rules: Rules, *, another_ready: bool, way_back: bool) -> Finding | None:
    """Why the revision is given up; None: it is not.

    `another_ready`: another revision, or the standby, serves. `way_back`: traffic belongs to this one, and an older one could have it.
    """
    if seen.given_up:
        return seen.given_up
    if found.good_since:
        return None
    if not found.ready_since:
        return _unable(seen, found, rules, helped=another_ready or way_back)
    if not found.trouble or not found.troubled_since or not way_back:
        return None
    at_once = another_ready and not seen.ready
    return found.trouble if at_once or seen.now - found.troubled_since >= rules.fail_after else None


def deadlines(seen: Evidence, found: Trial, rules: Rules, *, alone: bool) -> Iterator[datetime]:
    """When the judgement may change though nothing happens. Who is alone is tried for ever."""
    if found.good_since or seen.given_up or not seen.asked:
        return
    if not found.ready_since:
        yield from [found.started_at + rules.progress] if found.started_at and not alone else []
    elif found.troubled_since:
        yield found.troubled_since + rules.fail_after
    elif found.ready_since and seen.home_since:
        yield max(found.ready_since, seen.home_since) + rules.bake


def _trouble(seen: Evidence) -> Finding | None:
    """What it can be blamed for. A lost node or GPU is nobody's fault, and a model of no replicas serves nobody."""
    if not seen.asked:
        return None
    if seen.finding:
        return seen.finding if seen.finding.gives_up != "Never" else None
    return None if seen.ready else Finding("NoReadyPod", f"0 of {seen.asked} pods ready within its bake time")


def _unable(seen: Evidence, found: Trial, rules: Rules, *, helped: bool) -> Finding | None:
    """It never served. While nothing else can, trying on is right."""
    finding = seen.finding
    if finding and finding.gives_up == "Always" and not seen.ready:
        return finding
    if not helped:
        return None
    if finding and finding.gives_up != "Never":
        return finding
    if seen.asked and found.started_at and seen.now - found.started_at >= rules.progress:
        because = f": {finding.message}" if finding else ""
        late = f"{seen.ready} of {seen.asked} pods ready after {duration(rules.progress.total_seconds())} (rollout.progressDeadline)"
        return Finding("ProgressDeadline", late + because)
    return None


def _time(before: Mapping[str, Any], name: str) -> datetime | None:
    return datetime.fromisoformat(before[name]) if before.get(name) else None
