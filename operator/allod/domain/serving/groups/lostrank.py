"""A group that lost a rank: the others wait for it for ever, so the whole group has to be started anew.

Measured, vLLM 0.32: when the worker of one rank is killed, its own process ends within 5 s; the leader's /health stays 200 until the next
request, and every other rank waits without an end, whatever becomes of the lost one. A rank that comes back cannot join.

How it is seen, without any memory: a rank began its present life after another one's engine did. Ranks begin together (the init container
`gather` sees to it), and those that fail alike are started again alike; so a life that is younger by more than MARGIN met nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from allod.domain.quantity import count
from allod.domain.serving import pod as pods

if TYPE_CHECKING:
    from allod.domain.manifest import Manifest
    from allod.domain.serving.groups.group import Group

MARGIN = timedelta(seconds=10)
"""An engine needs as long to import what it consists of, before it meets any other: 15 s and more were measured. Clocks of nodes differ by
less than that."""


@dataclass(frozen=True, slots=True)
class LostRank:
    """Which pod it was, and what is known of it."""

    pod: Manifest
    says: str
    """A sentence about it without its end."""
    since: datetime | None
    """When it happened. None: it is about to, for the pod is leaving and has its own time for that."""
    served: bool
    """Whether the group had served before."""


def lost_rank(group: Group) -> LostRank | None:
    """Look for it. None: nothing that anybody could tell."""
    running = {pods.name(pod): since for pod in group.pods if (since := _runs_since(pod))}
    if group.size == 1 or not running:
        return None
    if group.leaving:
        pod = group.leaving[0]
        return LostRank(pod, f"{pods.name(pod)} is leaving", None, served=_served(group, pod))
    if group.whole and all(pods.is_ready(pod) for pod in group.pods):
        return None  # each rank says that it began before its leader was ready: they know each other
    younger = [(began, pod) for pod in group.pods if (began := _began(pod)) and _met_nobody(pod, began, running)]
    if not younger:
        return None
    began, pod = max(younger, key=lambda found: found[0])
    return LostRank(pod, _says(pod), began, served=_served(group, pod))


def sentence(group: Group, lost: LostRank) -> str:
    """For a person."""
    others = count(group.size - 1, "rank")
    return f"{lost.says}: the other {others} of its group would wait for it for ever"


def _met_nobody(pod: Manifest, began: datetime, running: dict[str, datetime]) -> bool:
    return any(began - since > MARGIN for name, since in running.items() if name != pods.name(pod))


def _served(group: Group, lost: Manifest) -> bool:
    others = (pods.container(pod, pods.ENGINE) for pod in group.pods if pod is not lost)
    return any(engine.started for engine in others if engine)


def _runs_since(pod: Manifest) -> datetime | None:
    engine = pods.container(pod, pods.ENGINE)
    return datetime.fromisoformat(engine.since) if engine and engine.running and engine.since else None


def _began(pod: Manifest) -> datetime | None:
    """When the present life of the pod's engine could begin: after its last end, and not before there was the pod."""
    created, ended = pod["metadata"].get("creationTimestamp"), _ended(pod)
    times = [datetime.fromisoformat(time) for time in (created, ended) if time]
    return max(times, default=None)


def _ended(pod: Manifest) -> str | None:
    engine = pods.container(pod, pods.ENGINE)
    found: str | None = engine.ended.get("finishedAt") if engine else None
    return found


def _says(pod: Manifest) -> str:
    engine = pods.container(pod, pods.ENGINE)
    if engine is None or not engine.ended:
        return f"{pods.name(pod)} was replaced"
    reason = engine.ended.get("reason", "")
    why = f" ({reason})" if reason not in ("", "Error", "Completed") else ""
    words = f", last with: {engine.last_words}" if engine.last_words else ""
    return f"{pods.name(pod)} ended with exit code {engine.ended.get('exitCode', 'unknown')}{why}{words}"
