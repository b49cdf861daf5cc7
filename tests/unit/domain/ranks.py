"""What a kubelet says of the lives of a rank's engine, in the simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allod.domain.serving import pod as pods

if TYPE_CHECKING:
    from allod.domain.manifest import Manifest

ENDED = "test/ended"
"""Annotation of a simulated pod: when its engine ended last."""


def ranked(pod: Manifest, *, gathers: bool) -> None:
    """Write it into the pod's status. One that came back is ready no more, for it meets nobody.

    `gathers`: it waits for ranks that have no node.
    """
    meta, status = pod["metadata"], pod["status"]
    if gathers:
        placed = [each for each in status.get("conditions") or () if each["type"] == "PodScheduled"]
        pod["status"] = {"phase": "Pending", "conditions": [*placed, {"type": "Ready", "status": "False"}]}
        return
    ended = (meta.get("annotations") or {}).get(ENDED)
    if status.get("containerStatuses") or not status.get("conditions"):
        return
    up = pods.is_ready(pod)
    engine: dict[str, Any] = {"name": "engine", "started": up and not ended, "ready": up and not ended}
    if ended:
        engine |= {"restartCount": 1, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": ended}}}
        status["conditions"] = [each for each in status["conditions"] if each["type"] != "Ready"]
    engine["state"] = {"running": {"startedAt": ended or meta["creationTimestamp"]}}
    status["containerStatuses"] = [engine]
