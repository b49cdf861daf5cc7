"""Which groups are started anew because they lost a rank, when, and how gently.

A group that served is started anew at once. One that was still starting gets a moment, for the others may well end by themselves, as ranks
with one and the same mistake do, and then their kubelets start them again. After each time within the hour the next waits for twice as
long, as a kubelet does; the times stand in `status.history`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from allod.domain.serving.groups.lostrank import LostRank, lost_rank, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allod.domain.manifest import Manifest
    from allod.domain.serving.groups.group import Group
    from allod.domain.serving.rollout import Step
    from allod.domain.serving.seen import Seen
    from allod.domain.serving.survey import Survey

RESTARTED = "GroupRestarted"
"""The step of `status.history`."""
WINDOW = timedelta(hours=1)
"""In which restarts of one group count."""
SETTLE = timedelta(seconds=10)
"""For a group that never served: within 5 s a vLLM ends when its own worker does."""
FIRST, LONGEST = timedelta(seconds=10), timedelta(minutes=5)
"""A kubelet's own pauses between starts of a container."""
GRACE = 1
"""Seconds for ranks that wait for a lost one: they hear no SIGTERM. Not 0, for then Kubernetes would forget the pods at once, and give
their GPUs away while the old processes may still hold them."""


@dataclass(frozen=True, slots=True)
class Regroup:
    """One group, to be started anew by ending all its pods."""

    name: str
    pods: tuple[Manifest, ...]
    grace: int | None
    """Seconds; None: each pod's own, as the lost one is only leaving and requests in flight may still be answered."""
    cause: str


def regrouped(seen: Seen, found: Survey, step: Step, now: datetime) -> tuple[Regroup, ...]:
    """Groups whose time has come."""
    lost = (
        (group, each) for group, each in _lost(found, step) if each.since is None or now >= each.since + _patience(seen, group, each, now)
    )
    return tuple(Regroup(group.name, group.pods, None if each.since is None else GRACE, sentence(group, each)) for group, each in lost)


def due(seen: Seen, found: Survey, step: Step, now: datetime) -> Iterator[datetime]:
    """When the time of others will have come."""
    for group, each in _lost(found, step):
        if each.since and (moment := each.since + _patience(seen, group, each, now)) > now:
            yield moment


def lately(seen: Seen, group: str, now: datetime) -> list[str]:
    """Causes for which a group was started anew within the last hour, newest first."""
    history = (step for step in seen.status.get("history") or [] if step.get("action") == RESTARTED and step.get("from") == group)
    return [str(step.get("cause", "")) for step in history if now - datetime.fromisoformat(step["time"]) < WINDOW]


def _lost(found: Survey, step: Step) -> Iterator[tuple[Group, LostRank]]:
    """Only of groups that stay: what goes anyway goes in its own time."""
    for name, facts in found.facts.items():
        stays = step.allocation.get(name, 0)
        for group in facts.groups:
            if group.size > 1 and int(group.name.rpartition("-g")[2]) < stays and (lost := lost_rank(group)):
                yield group, lost


def _patience(seen: Seen, group: Group, lost: LostRank, now: datetime) -> timedelta:
    least = timedelta() if lost.served else SETTLE
    times = len(lately(seen, group.name, now))
    return max(least, min(FIRST * 2 ** (times - 1), LONGEST)) if times else least
