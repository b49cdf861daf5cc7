"""The box: one set of namespaces with the control plane in it, and one more set inside for each node.

machine ── 127.0.0.1:PORT ══ door ═╗
┌── box: 10.199.0.1 on br0 ────────╨─────────────────────────────────┐
│   etcd, kube-apiserver, kube-controller-manager, kube-scheduler    │
│   dnsmasq + dns, volumes, kube-proxy, registry (when asked for)    │
│   ┌── node1: 10.199.0.11 ─────────┐ ┌── node2: 10.199.0.12 ──────┐ │
│   │ containerd, kubelet,          │ │ the same                   │ │
│   │ kube-proxy, gpu-plugin, netpol│ │                            │ │
│   │ Pods: 10.200.1.0/24           │ │ Pods: 10.200.2.0/24        │ │
│   └───────────────────────────────┘ └────────────────────────────┘ │
└────────────────────────────────────────────────────────────────────┘
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from box import addresses, bringup, cache, door, gobuild, lock, machine, prerequisites, processes, teardown, tools
from box.components import Listening
from box.containers import Process, container_processes
from box.controlplane import ControlPlane
from box.errors import BoxError, Failed, Taken
from box.namespaces import Inside, Namespaces
from box.node import Node
from box.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from box.door import Door


class Box:
    """The box of one state folder, running or not. What it is at this moment is asked of the machine, not remembered."""

    def __init__(self, state: Path | None = None, progress: Progress | None = None) -> None:
        self.state = cache.seen_by_nodes(state or cache.state())
        self.progress = progress or Progress()
        self.log = self.state / "log"
        """`box/` and one folder for each node, with NAME.log of each program. The logs stay after `down`, until the next `up`."""
        self.record = self.state / "box.json"
        """What was asked for; there when the box is complete."""

    def up(self, *, nodes: int = 2, gpus: int = 4) -> bool:
        """Brings it up until all nodes are Ready; False when it was up already."""
        machine.require_root("A cluster with nodes")
        if not 1 <= nodes <= addresses.MOST_NODES:
            raise BoxError(f"A box cannot have {nodes} nodes.", f"Choose 1 to {addresses.MOST_NODES}; each takes about 150 MB of memory.")
        prepare(self.progress)
        cache.room_for(2, "a cluster with its images")
        with lock.alone(self.state):
            if self.running:
                self._is_as(nodes, gpus)
                return False
            teardown.tear_down(self.state)  # what a crash may have left
            bringup.bring_up(self, nodes=nodes, gpus=gpus)
        return True

    def down(self) -> bool:
        """Ends it, in whatever state it is; False when there was nothing."""
        machine.require_root("Taking a cluster with nodes down")
        with lock.alone(self.state):
            return teardown.tear_down(self.state)

    @property
    def running(self) -> bool:
        """Whether it is up and complete."""
        return self.record.exists() and bool(self._pids())

    @property
    def space(self) -> Namespaces:
        """To run something in it, beside the control plane."""
        if pids := self._pids():
            return Namespaces(pids[-1])
        raise Failed("The box is not up.", "python3 tests/box up")

    @property
    def made(self) -> bool:
        """Whether its namespaces are there, complete or not."""
        return bool(self._pids())

    @property
    def programs(self) -> Inside:
        """What runs in it beside the nodes."""
        return Inside(self.space, self.log / "box")

    @property
    def plane(self) -> ControlPlane:
        """The control plane: its API, and how to end and start a part of it."""
        return ControlPlane(
            self.state, self.programs, Listening(api=6443, advertise=addresses.BOX), f"https://127.0.0.1:{self._api_port()}"
        )

    def _api_port(self) -> int:
        """Of the door to the API server. Should that have ended, another one opens at the port that the kubeconfig names."""
        for opened in self.doors():
            if opened.target == addresses.API:
                return opened.port
        named = json.loads(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        return door.open_door(self.state, self.space.pid, addresses.API, int(named.rpartition(":")[2])).port

    @property
    def kubeconfig(self) -> Path:
        """For a person and for tests on this machine: cluster-admin."""
        return self.state / "kubeconfig"

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """What kubectl printed; `Failed` with its message otherwise."""
        return self.plane.kubectl(*args, stdin=stdin)

    @property
    def nodes(self) -> list[Node]:
        """node1, node2, ..."""
        asked = json.loads(self.record.read_text()) if self.record.exists() else {"nodes": 0, "gpus": 0}
        return self.plan(asked["nodes"], asked["gpus"])

    def plan(self, nodes: int, gpus: int) -> list[Node]:
        """That many nodes, with that many GPUs each."""
        return [Node(self.state, number, nodes, gpus) for number in range(1, nodes + 1)]

    def node(self, name: str) -> Node:
        """By its name."""
        found = {node.name: node for node in self.nodes}
        if name not in found:
            raise BoxError(f"There is no node {name} in the box.", f"It has {', '.join(found) or 'none: python3 tests/box up'}.")
        return found[name]

    def crash(self, name: str) -> None:
        """As if the node's power was cut."""
        self.node(name).crash()

    def start(self, name: str) -> None:
        """Starts a crashed node; returns when it is Ready. Its disk is as it was."""
        node = self.node(name)
        if node.running:
            raise Taken(f"{name} is running.", f"python3 tests/box node crash {name}")
        before = bringup.heartbeats(self)
        node.boot(self.space)
        node.join()
        bringup.wait_for_nodes(self, [node], before)

    def link(self, name: str, *, up: bool) -> None:
        """Cuts a node's network, or mends it."""
        self.node(name).link(self.space, up=up)

    def load(self, images: Sequence[Path]) -> None:
        """Imports container images (.tar) into every node that runs, so that Pods need not pull them."""
        with ThreadPoolExecutor() as pool:
            for image in images:
                if not image.is_file():
                    raise BoxError(
                        f"There is no image {image}.", "It is a file that `docker save` or `buildah push docker-archive:` writes."
                    )
                for one in [pool.submit(node.load, image.resolve()) for node in self.nodes if node.running]:
                    one.result()

    def open(self, target: str, port: int = 0) -> Door:
        """A door from 127.0.0.1:PORT to SERVICE.NAMESPACE:PORT, POD.SERVICE.NAMESPACE:PORT or ADDRESS:PORT."""
        return door.open_door(self.state, self.space.pid, target, port)

    def doors(self) -> list[Door]:
        """All that are open; one of them leads to the API server."""
        return door.doors(self.state)

    def processes(self, pod: str, container: str | None = None, *, match: str = "") -> list[Process]:
        """The processes of a container of NAMESPACE/POD that have `match` in their command line."""
        return container_processes(self.plane.api, self.state, pod, container, match)

    def _pids(self) -> list[int]:
        return processes.find("box", str(self.state))

    def sizes(self, nodes: int, gpus: int) -> dict[str, object]:
        """What a box is: how large, and from which sources."""
        return {"nodes": nodes, "gpus": gpus, "built": gobuild.built().folder.name}

    def _is_as(self, nodes: int, gpus: int) -> None:
        asked = self.sizes(nodes, gpus)
        there = json.loads(self.record.read_text())
        if there != asked:
            raise Taken(f"Another box is up: {there}, and {asked} was asked for.", "python3 tests/box down, then up again.")


def prepare(progress: Progress) -> None:
    """Fetches and builds all that a box needs and the cache does not have, after a look at what the machine must have for that."""
    prerequisites.check("A cluster with nodes", {**tools.needs(), **gobuild.needs()})
    tools.ensure(progress)
    gobuild.built(progress)
