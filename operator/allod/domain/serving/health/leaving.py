"""A pod that does not end: its node is off or cut, and Kubernetes waits for the word of a kubelet that is not there.

It holds its GPUs and its place meanwhile: no StatefulSet makes another pod of its name, and a rollout that needs its GPUs waits.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from allod.domain.quantity import duration
from allod.domain.serving import pod as pods
from allod.domain.serving.health.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allod.domain.manifest import Manifest
    from allod.domain.serving.seen import Seen

LATE = timedelta(minutes=1)
"""Beyond the end of its grace, which `deletionTimestamp` is: a kubelet that works ends a pod within seconds of it."""
OFF = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
"""By which a person tells Kubernetes that a node is off, so that its pods are let go."""


def stuck(seen: Seen, now: datetime) -> Finding | None:
    """The first pod that should have been gone for a while. None: all end as they should."""
    late = (pod for pod in seen.pods if (moment := _late_from(pod)) and now >= moment)
    pod = min(late, key=pods.name, default=None)
    if pod is None:
        return None
    name, node = pods.name(pod), pod["spec"].get("nodeName")
    should = f"{name} should have ended more than {duration(LATE.total_seconds())} ago and holds what it reserved"
    if finalizers := pod["metadata"].get("finalizers"):
        return Finding("PodStuck", f"{should}: it waits for {', '.join(finalizers)}, which whoever set it has to take away")
    if node is None:
        return Finding("PodStuck", f"{should}: kubectl describe pod {name} says more")
    todo = f"if it is off, kubectl taint node {node} {OFF}, or kubectl delete node {node}"
    return Finding("PodStuck", f"{should}: is its node {node} alive? {todo}")


def due(seen: Seen, now: datetime) -> Iterator[datetime]:
    """When a pod that leaves would be late, of which no event tells."""
    yield from (moment for pod in seen.pods if (moment := _late_from(pod)) and moment > now)


def _late_from(pod: Manifest) -> datetime | None:
    ends = pod["metadata"].get("deletionTimestamp")
    return datetime.fromisoformat(ends) + LATE if ends else None
