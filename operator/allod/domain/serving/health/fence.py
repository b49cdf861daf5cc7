"""Which pods are ended at once after traffic has left them: those that hang, for only the end of a process frees who waits on it.

Measured: no switch frees a request that hangs on an established connection (48 of 48 clients stayed on the hung pod); deleting the pod with
grace 0 ends them 2.1 s later. SIGTERM is no use to a stopped process. Of a silent node nothing can be fenced: nobody there hears it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from allod.domain.plan import Event
from allod.domain.serving import pod as pods
from allod.domain.serving.health.evidence import lost

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from allod.domain.manifest import Manifest
    from allod.domain.serving.groups.group import Group
    from allod.domain.serving.health.beat import Beat
    from allod.domain.serving.route import Route
    from allod.domain.serving.seen import Seen
    from allod.domain.serving.survey import Survey

HANGS = frozenset({"Faulty", "Silent"})
"""A dead process is started again by its kubelet, and one on an unreachable node hears nothing."""
KUBELET = timedelta(seconds=8)
"""An unreachable pod that its kubelet calls not ready so soon is on a node that is well: the server hangs and takes no more connections. A
kubelet needs 2 to 3 s for it. Of a node that is away Kubernetes itself says so after its node-monitor-grace-period, 50 s by itself and 10 s
less at most: who makes it shorter than 18 s has dead nodes taken for living ones."""
ROUNDING = timedelta(seconds=1)
"""Kubernetes writes times in whole seconds."""
SETTLED = timedelta(seconds=0.9)
"""Of a silence before its pod is ended. Above CONNECT of listening.py: only then is it known whether the pod's node takes connections or is
away, and whether most pods are silent, which would mean that it is we who hear nothing. Below the second after which a model is looked at
again: with a whole one that look came a moment too early at times, and the next one a second later (who waited was freed 4.1 s after the
switch, or 5.0). The rest is kubelet's: 2 s at least after grace 0, and a second of a preStop hook."""


def fenced(seen: Seen, found: Survey, route: Route, now: datetime) -> tuple[Manifest, ...]:
    """Pods to end. Only after the Service was seen to point elsewhere, at the standby or at another revision: never before."""
    hanging = [group for group, beat in _hanging(seen, found, route) if beat.state == "Faulty" or now - beat.since >= SETTLED]
    return tuple(pod for group in hanging for pod in group.pods)  # the other ranks of an engine wait for the one that ends


def due(seen: Seen, found: Survey, route: Route, now: datetime) -> Iterator[datetime]:
    """When a silence will have lasted for long enough."""
    yield from (beat.since + SETTLED for _, beat in _hanging(seen, found, route) if beat.since + SETTLED > now)


def _hanging(seen: Seen, found: Survey, route: Route) -> Iterator[tuple[Group, Beat]]:
    for name, facts in found.facts.items():
        away = found.on_standby and route.to == "Standby" if name == found.home else facts.failed or name != found.desired.hash
        led = ((group, group.leader) for group in facts.groups if away)
        yield from ((group, beat) for group, leader in led if leader and (beat := lost(seen, leader)) and _hangs(leader, beat))


def _hangs(pod: Manifest, beat: Beat) -> bool:
    return beat.state in HANGS or _takes_no_more(pod, beat)


def _takes_no_more(pod: Manifest, beat: Beat) -> bool:
    ready = pods.condition(pod, "Ready")
    since = ready.get("lastTransitionTime") if beat.state == "Unreachable" and ready.get("status") == "False" else None
    return since is not None and timedelta() <= datetime.fromisoformat(since) - beat.since + ROUNDING <= KUBELET


def told(seen: Seen, ended: Iterable[Manifest]) -> tuple[Event, ...]:
    """What is said of it."""
    heard = ((pods.name(pod), lost(seen, pod)) for pod in ended)
    return tuple(
        Event("PodFenced", f"{name} is ended at once, so that clients that wait on it are freed: {beat.message}", "Warning")
        for name, beat in heard
        if beat
    )
