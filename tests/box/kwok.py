"""Pretended nodes by kwok, for scale: they hold GPUs and Pods, and nothing runs on them.

kwok looks at no probe: its Pods are Ready at once. Its nodes carry a taint, so that only what tolerates it lands there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from box import gobuild, waiting

if TYPE_CHECKING:
    from box.api import Object
    from box.controlplane import ControlPlane

PODS = "127.210.0.0/16"
"""Loopback: the operator listens to the pods that it sees, and nothing of ours may knock at addresses of the machine's network."""
LISTED = "239.210.0.0/16"
"""For who wants to see EndpointSlices, which take no loopback: a connection to a multicast address is refused by the machine itself, and
no packet leaves it (measured: 52 us, network is unreachable)."""
MARK = "kwok.x-k8s.io/node"
"""Annotation and taint of a pretended node, with the value `fake`."""


def start(plane: ControlPlane, pods: str = PODS) -> None:
    """Runs kwok beside that control plane."""
    built = gobuild.built()
    plane.programs.start(
        "kwok",
        [
            built.kwok,
            f"--config={built.kwok_stages}",
            f"--kubeconfig={plane.pki}/admin.conf",
            f"--manage-nodes-with-annotation-selector={MARK}=fake",
            f"--cidr={pods}",
            "--node-lease-duration-seconds=40",
        ],
    )


def add_nodes(plane: ControlPlane, count: int, gpus: int) -> None:
    """Adds the nodes fake0, fake1, ... and returns when all are Ready."""
    listed = {"apiVersion": "v1", "kind": "List", "items": [node(f"fake{number}", gpus) for number in range(count)]}
    plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(listed))

    def ready() -> bool:
        nodes = plane.api.items("/api/v1/nodes?labelSelector=type%3Dkwok")
        conditions = [c for n in nodes for c in n["status"].get("conditions", ()) if c["type"] == "Ready" and c["status"] == "True"]
        return len(conditions) >= count

    waiting.until(f"{count} pretended nodes are Ready", ready, seconds=30, todo=f"Look at {plane.programs.log}/kwok.log")


def node(name: str, gpus: int) -> Object:
    """A machine with 64 cores, 512 GiB and that many H200."""
    size = {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": str(gpus)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {MARK: "fake"},
            "labels": {
                "type": "kwok",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "nvidia.com/gpu.product": "NVIDIA-H200",
            },
        },
        "spec": {"taints": [{"key": MARK, "value": "fake", "effect": "NoSchedule"}]},
        "status": {"capacity": size, "allocatable": size},
    }
