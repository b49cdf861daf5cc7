"""How a revision is judged: whether it can serve, whether it held for its bake time, and whether it is given up.

    new ----> complete (all pods that the model is to have were ready once) ----> good (served for rollout.bake)
     |           |
     |           > failed: something was wrong with it within its bake time, and an older revision can take over
     > failed: it cannot start, or not all of it within rollout.progressDeadline; as a canary it was worse, or something was wrong with it

Pods may come in parts, one group or `maxSurge` at a time. From the first on traffic may be on it, and it is blamed as in its bake time.

What was good is not given up: no newer cause is to blame when it degrades later, so nothing older would help. But that it was good once
does not make it better than what serves now: as a canary it may lose.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from allod.domain.conditions import timestamp
from allod.domain.quantity import duration
from allod.domain.serving.health.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from allod.api.modeldeployment import ModelDeploymentSpec

SERVING = frozenset({"Ready", "Good", "Unavailable"})
"""States of a revision that has served, in status: with one pod of several too, which sets no readySince."""


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
class Case:
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
    shares: bool = False
    """As a canary it has a part of the traffic, or had until its pods were not ready."""
    measured: bool = True
    """Its objectives can be judged, or it has none."""
    worse: Finding | None = None
    """In what it is worse than the active revision: a judgement that is never made twice."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Where it stands. Times are UTC."""

    started_at: datetime | None
    """Since when it has had pods."""
    ready_since: datetime | None
    """When all pods that the model is to have were its, and ready, for the first time."""
    served: bool
    """At least one of its pods was ready at one time."""
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


def trial(case: Case, rules: Rules) -> Trial:
    """Bring what the last status says up to now."""
    ready_since = _time(case.before, "readySince") or _time(case.before, "goodSince")
    if ready_since is None and case.asked and case.whole and case.ready >= case.asked:
        ready_since = case.now
    has_served = served(case.before) or ready_since is not None or case.ready > 0
    # Time without GPUs does not count, so it begins anew when they are there.
    waits = case.finding is not None and case.finding.reason == "InsufficientGPUs"
    started_at = (_time(case.before, "startedAt") or case.now) if case.asked and not waits else None
    good_since = _time(case.before, "goodSince") or (case.now if case.alone and ready_since else None)
    if good_since or not has_served or not (case.home_since or case.shares):
        return Trial(started_at, ready_since, has_served, good_since, None, None)
    if trouble := _trouble(case):
        return Trial(started_at, ready_since, has_served, None, _time(case.before, "troubledSince") or case.now, trouble)
    since = max(ready_since, case.home_since) if case.whole and ready_since and case.home_since else None
    baked = since is not None and case.measured and case.now - since >= rules.bake
    return Trial(started_at, ready_since, has_served, case.now if baked else None, None, None)


def served(before: Mapping[str, Any]) -> bool:
    """Whether the last status says of a revision that it has served, be it with one pod of several."""
    return bool(before.get("readySince") or before.get("goodSince")) or before.get("state") in SERVING


def verdict(case: Case, found: Trial, rules: Rules, *, another_ready: bool, way_back: bool) -> Finding | None:
    """Why the revision is given up; None: it is not.

    `another_ready`: another revision, or the standby, serves. `way_back`: it has traffic that another one could have.
    """
    if case.given_up or case.worse:
        return case.given_up or case.worse
    if found.good_since:
        return None
    if not found.trouble and not found.ready_since:
        return _unable(case, found, rules, another_ready=another_ready, way_back=way_back)
    if not found.trouble or not found.troubled_since or not way_back:
        return None
    # On trial it has lost its traffic already when it has no ready pod: whether it comes back by itself can be waited for.
    at_once = another_ready and not case.ready and (case.home_since is not None or case.finding is not None)
    return found.trouble if at_once or case.now - found.troubled_since >= rules.fail_after else None


def deadlines(case: Case, found: Trial, rules: Rules, *, alone: bool) -> Iterator[datetime]:
    """When the judgement may change though nothing happens. Who is alone is tried for ever."""
    if found.good_since or case.given_up or not case.asked:
        return
    if found.troubled_since:
        yield found.troubled_since + rules.fail_after
    elif not found.ready_since:
        yield from [found.started_at + rules.progress] if found.started_at and not alone else []
    elif found.ready_since and case.home_since:
        yield max(found.ready_since, case.home_since) + rules.bake


def _trouble(case: Case) -> Finding | None:
    """What it can be blamed for. A lost node or GPU is nobody's fault, and a model of no replicas serves nobody."""
    if not case.asked:
        return None
    if case.finding:
        return case.finding if case.finding.gives_up != "Never" else None
    return None if case.ready else Finding("NoReadyPod", f"0 of {case.asked} pods ready within its bake time")


def _unable(case: Case, found: Trial, rules: Rules, *, another_ready: bool, way_back: bool) -> Finding | None:
    """It never served with all its pods. While nobody else does, trying on is right, the more so when some of them serve."""
    finding = case.finding
    if finding and finding.gives_up == "Always" and not case.ready:
        return finding
    if not another_ready and not way_back:
        return None
    if finding and finding.gives_up != "Never":
        return finding
    late = found.started_at is not None and case.now - found.started_at >= rules.progress
    if case.asked and late and (another_ready or not case.ready):
        because = f": {finding.message}" if finding else ""
        after = f"{case.ready} of {case.asked} pods ready after {duration(rules.progress.total_seconds())} (rollout.progressDeadline)"
        return Finding("ProgressDeadline", after + because)
    return None


def _time(before: Mapping[str, Any], name: str) -> datetime | None:
    return datetime.fromisoformat(before[name]) if before.get(name) else None
