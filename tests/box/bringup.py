"""The start of a box, in an order that keeps all cores busy: what needs no API server is done while that starts."""

from __future__ import annotations

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from box import addresses, dns, door, gobuild, kernel, nodeconfig, pki, processes, teardown, volumes, waiting
from box.errors import Failed
from box.node import JOINING
from box.programs import check

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from box.api import Object
    from box.box import Box
    from box.node import Node

SCRIPT = Path(__file__).with_name("init") / "box.sh"
READY = 60
"""Seconds that the nodes may take after their programs were started: 2 on two idle cores."""


def bring_up(box: Box, *, nodes: int, gpus: int) -> None:
    """From an empty state folder to nodes that take Pods. What fails is taken down again, but for its logs."""
    shutil.rmtree(box.log, ignore_errors=True)
    box.log.mkdir(parents=True)
    planned = box.plan(nodes, gpus)
    with ThreadPoolExecutor(max_workers=nodes + 1) as pool:
        try:
            _bring_up(box, planned, pool)
        except BaseException:  # Ctrl-C as well
            teardown.tear_down(box.state)
            raise
    box.record.write_text(json.dumps(box.sizes(nodes, gpus)))


def _bring_up(box: Box, nodes: Sequence[Node], pool: ThreadPoolExecutor) -> None:
    with box.progress.step("namespaces, certificates"):
        kernel.check()
        certificates = pool.submit(_certificates, box, nodes)
        _unshare(box)
        certificates.result()
        door.open_door(box.state, box.space.pid, addresses.API)
    with box.progress.step("control plane; containerd on each node"):
        booting = [pool.submit(node.boot, box.space) for node in nodes]
        box.plane.start_all()
        _all(booting)
    with box.progress.step(f"{len(nodes)} nodes Ready"):
        _all([pool.submit(node.join) for node in nodes])
        _start_agents(box)
        wait_for_nodes(box, nodes, {})
        box.plane.wait_default_service_account()


def _all(running: Sequence[Future[None]]) -> None:
    for one in running:
        one.result()


def _certificates(box: Box, nodes: Sequence[Node]) -> None:
    folder = box.state / "pki"
    pki.make(folder, server_addresses=[addresses.BOX, addresses.KUBERNETES], nodes={node.name: node.address for node in nodes})
    for node in nodes:
        pki.kubeconfig(folder / f"{node.name}.conf", pki=folder, user=node.name, server=f"https://{addresses.API}")


def _unshare(box: Box) -> None:
    """Starts the box's first process. `box.sh-of` is $0 of the script: by it and the state folder a half-made box is found."""
    script = SCRIPT.read_text()
    who = [box.state, gobuild.built().pause, f"{addresses.BOX}/{addresses.BITS}"]
    processes.spawn([*kernel.NAMESPACES, "sh", "-c", script, teardown.MARK, *map(str, who)], box.log / "init.log")

    def made() -> bool:
        if not teardown.first_processes(box.state):
            raise Failed(f"The box could not be made: {(box.log / 'init.log').read_text().strip()}", "Run as root with all capabilities.")
        return box.made

    waiting.until("the namespaces of the box are made", made, seconds=60)


def _start_agents(box: Box) -> None:
    """What serves the whole cluster beside the control plane."""
    programs, folder = box.programs, box.plane.pki
    hosts, pid_file = door.hosts(box.state), box.state / "dnsmasq.pid"
    where = (box.plane.at.server, folder)
    hosts.touch()
    programs.start("dnsmasq", dns.dnsmasq(hosts, pid_file))
    waiting.until("dnsmasq listens", pid_file.exists, seconds=60)
    programs.start("dns", [sys.executable, "-m", "box.agent", "dns", *where, hosts, pid_file])
    programs.start("volumes", [sys.executable, "-m", "box.agent", "volumes", *where, box.state])
    volumes.install(box.plane.api)
    # As on any control plane machine: so the API server reaches webhooks behind a Service, and a door a Service, whichever node is down.
    # It goes by the name of a node because it would wait 30 s for a Node of its own.
    config = box.state / "kube-proxy.json"
    config.write_text(json.dumps(nodeconfig.kube_proxy("node1", folder)))
    programs.start("kube-proxy", [gobuild.built().kube, "kube-proxy", f"--config={config}"])


def heartbeats(box: Box) -> dict[str, str]:
    """When each node's kubelet last reported, as the API server knows it."""
    return {found["metadata"]["name"]: _ready(found).get("lastHeartbeatTime", "") for found in box.plane.api.items("/api/v1/nodes")}


def wait_for_nodes(box: Box, nodes: Sequence[Node], before: Mapping[str, str]) -> None:
    """Until these have reported since `before`, are Ready and offer their GPUs: for 23 s a crashed node still looks Ready."""
    wanted = {node.name: str(node.gpus) for node in nodes}
    started = [node.programs for node in nodes]
    api = box.plane.api

    def ready() -> bool:
        for programs in started:
            for name in JOINING:
                check(programs, name)
        seen = {found["metadata"]["name"]: found for found in api.items("/api/v1/nodes")}
        return all(name in seen and _takes_pods(seen[name], gpus, before.get(name, "")) for name, gpus in wanted.items())

    waiting.until(f"{', '.join(wanted)} are Ready", ready, seconds=READY, todo=f"Look at the logs in {box.log}.")


def _takes_pods(node: Object, gpus: str, before: str) -> bool:
    ready = _ready(node)
    reported = ready.get("status") == "True" and ready["lastHeartbeatTime"] != before
    return reported and node["status"]["allocatable"].get("nvidia.com/gpu", "0") == gpus


def _ready(node: Object) -> Object:
    """Its condition of that name; empty before its kubelet has reported."""
    return next((one for one in node["status"].get("conditions", ()) if one["type"] == "Ready"), {})
