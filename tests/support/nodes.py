"""The StatefulSet controller, the scheduler and the kubelets of a FakeCluster, one step at a time."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Literal, TypeAlias

from allod.domain.manifest import Ref, ref

if TYPE_CHECKING:
    from allod.domain.manifest import Manifest
    from support.cluster import FakeCluster

Fate: TypeAlias = Literal["Ready", "Starting", "ImagePullBackOff", "CrashLoopBackOff", "Unschedulable"]
"""What becomes of the pods of a StatefulSet."""


class Nodes:
    """Call `step` until nothing changes; between two steps a test may look, edit, or let pods fail."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self.fates: dict[str, Fate] = {}
        """By StatefulSet."""
        self.everywhere: Fate = "Ready"
        """Of the pods of all others."""

    def step(self) -> bool:
        """Everything that controllers and kubelets would do now. Returns whether anything changed."""
        before = len(self._cluster.writes), len(self._cluster.objects)
        for pod in self._cluster.of_kind("Pod"):
            if "deletionTimestamp" in pod["metadata"]:
                self._cluster.remove(ref(pod))
        for statefulset in self._cluster.of_kind("StatefulSet"):
            if "deletionTimestamp" not in statefulset["metadata"]:
                self._reconcile(statefulset)
        return before != (len(self._cluster.writes), len(self._cluster.objects))

    def _reconcile(self, statefulset: Manifest) -> None:
        name, namespace = statefulset["metadata"]["name"], statefulset["metadata"]["namespace"]
        replicas = statefulset["spec"].get("replicas", 1)
        wanted = {f"{name}-{number}": number for number in range(replicas)}
        pods = {each["metadata"]["name"]: each for each in self._cluster.of_kind("Pod") if _owned_by(each, statefulset)}
        for pod_name in wanted.keys() - pods.keys():
            self._cluster.add(_pod(statefulset, pod_name))
        for pod_name in pods.keys() - wanted.keys():
            self._cluster.mark_deleted(Ref("v1", "Pod", namespace, pod_name))
        fate = self.fates.get(name, self.everywhere)
        for pod_name, number in wanted.items():
            self._cluster.set_status(Ref("v1", "Pod", namespace, pod_name), _status(fate, number))
        ready = replicas if fate == "Ready" else 0
        counts = {"replicas": replicas, "readyReplicas": ready, "availableReplicas": ready}
        generation = statefulset["metadata"]["generation"]
        self._cluster.set_status(ref(statefulset), {"observedGeneration": generation, "collisionCount": 0, **counts})


def _owned_by(pod: Manifest, statefulset: Manifest) -> bool:
    return statefulset["metadata"]["uid"] in {each["uid"] for each in pod["metadata"]["ownerReferences"]}


def _pod(statefulset: Manifest, name: str) -> Manifest:
    template = deepcopy(statefulset["spec"]["template"])
    meta = statefulset["metadata"]
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": meta["name"], "uid": meta["uid"], "controller": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": name, "namespace": meta["namespace"], "ownerReferences": [owner]},
        "spec": {**template["spec"], "nodeName": "node-1"},
    }


def _status(fate: Fate, number: int) -> Manifest:
    if fate == "Unschedulable":
        message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
        return {"phase": "Pending", "conditions": [_condition("PodScheduled", "False", "Unschedulable", message)]}
    ready = "True" if fate == "Ready" else "False"
    running = {"running": {"startedAt": "2026-11-20T00:00:00Z"}}
    waiting = {"waiting": {"reason": fate, "message": f"back-off: {fate}"}}
    state = running if fate in ("Ready", "Starting") else waiting
    return {
        "phase": "Running" if fate in ("Ready", "Starting", "CrashLoopBackOff") else "Pending",
        "podIP": f"10.0.0.{number + 1}",
        "conditions": [_condition("PodScheduled", "True", "", ""), _condition("Ready", ready, "", "")],
        "containerStatuses": [{"name": "engine", "ready": fate == "Ready", "restartCount": 0, "state": state}],
    }


def _condition(kind: str, status: str, reason: str, message: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-11-20T00:00:00Z"}
