from __future__ import annotations

import signal
import urllib.request
from pathlib import Path

import pytest

from box import Box, bringup, containers, waiting
from box.errors import NotThere
from cluster.space import Space, pod, server


def restarts(space: Space, name: str) -> int:
    return int(space.get("pod", name)["status"]["containerStatuses"][0]["restartCount"])


def ready(space: Space, name: str) -> bool:
    return bool(space.get("pod", name)["status"]["containerStatuses"][0]["ready"])


def test_a_killed_container_is_started_again(space: Space, box: Box) -> None:
    space.run(server("victim"))
    containers.send(box.processes(f"{space.name}/victim"), signal.SIGKILL)
    waiting.until("the kubelet has started it again", lambda: restarts(space, "victim") == 1 and ready(space, "victim"), seconds=20)


def test_a_stopped_process_hangs_until_it_is_continued(space: Space, box: Box) -> None:
    space.run(server("victim"))
    address = space.get("pod", "victim")["status"]["podIP"]
    door = box.open(f"{address}:8000")
    try:
        frozen = box.processes(f"{space.name}/victim", match="httpd")
        containers.send(frozen, signal.SIGSTOP)
        with pytest.raises(TimeoutError), urllib.request.urlopen(f"http://127.0.0.1:{door.port}/", timeout=1):
            pass
        containers.send(frozen, signal.SIGCONT)
        with urllib.request.urlopen(f"http://127.0.0.1:{door.port}/", timeout=10) as answer:
            assert answer.read() == b"victim\n"
    finally:
        door.close()


def test_a_process_that_is_not_there_is_refused_with_those_that_are(space: Space, box: Box) -> None:
    space.run(pod("idle"))
    with pytest.raises(NotThere, match=r"(?s)No process of .*/idle has 'vllm'.*sleep 1000"):
        box.processes(f"{space.name}/idle", match="vllm")


def test_gpus_come_back_with_a_kubelet_that_starts_again(box: Box) -> None:
    node, heartbeats = box.node("node1"), bringup.heartbeats(box)
    node.end("kubelet")
    node.start("kubelet")
    bringup.wait_for_nodes(box, [node], heartbeats)


def test_a_pod_goes_on_while_its_containerd_is_away(space: Space, box: Box) -> None:
    space.run(server("victim", nodeName="node1"))
    node, address = box.node("node1"), space.get("pod", "victim")["status"]["podIP"]
    node.end("containerd")
    box.space.connect(address, 8000).close()
    node.start("containerd")
    assert space.inside("victim", "cat /tmp/www/index.html") == "victim\n"


def test_a_node_that_starts_again_at_once_has_its_gpus(box: Box) -> None:
    box.crash("node1")
    box.start("node1")


def test_a_crashed_node_is_not_ready_and_its_pod_comes_back_with_it(space: Space, box: Box) -> None:
    space.run(server("victim", nodeName="node2"))
    address = space.get("pod", "victim")["status"]["podIP"]
    box.crash("node2")
    try:
        assert not box.node("node2").running
        with pytest.raises(OSError, match=r"refused|route|timed out"):
            box.space.connect(address, 8000, timeout=2)
        box.kubectl("wait", "--for=condition=Ready=Unknown", "node/node2", "--timeout=40s")
    finally:
        box.start("node2")
    waiting.until("the Pod runs again", lambda: restarts(space, "victim") == 1 and ready(space, "victim"), seconds=30)


def test_a_socket_made_in_the_box_does_not_move_this_program(box: Box) -> None:
    own = Path("/proc/thread-self/ns/net")
    before = own.readlink()
    with box.space.connect("10.199.0.1", 6443), box.space.network():
        assert own.readlink() != before
    assert own.readlink() == before
