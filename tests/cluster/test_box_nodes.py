from __future__ import annotations

import pytest

from box import Box, BoxError, kernel, lock
from box.errors import NotThere, Taken
from cluster.space import Space, pod


def test_both_nodes_are_ready_and_run_the_pinned_kubernetes(box: Box) -> None:
    nodes = box.plane.api.items("/api/v1/nodes")
    real = {node["metadata"]["name"]: node["status"] for node in nodes if "kwok" not in node["metadata"]["labels"].get("type", "")}
    assert sorted(real) == [node.name for node in box.nodes] == ["node1", "node2"]
    for status in real.values():
        assert {"Ready": "True"}.items() <= {one["type"]: one["status"] for one in status["conditions"]}.items()
        assert status["nodeInfo"]["kubeletVersion"] == "v1.36.3"


def test_a_second_up_says_that_it_is_up_already(box: Box) -> None:
    assert box.up(nodes=len(box.nodes), gpus=box.nodes[0].gpus) is False


def test_an_up_of_another_size_is_refused(box: Box) -> None:
    with pytest.raises(Taken, match=r"Another box is up.*was asked for"):
        box.up(nodes=7)


def test_a_command_that_changes_the_box_keeps_others_out(box: Box) -> None:
    with lock.alone(box.state), pytest.raises(BoxError, match=r"Another command .* is changing the box"):
        box.up()


def test_a_node_that_does_not_exist_is_named_with_those_that_do(box: Box) -> None:
    with pytest.raises(BoxError, match="no node node9"):
        box.crash("node9")


def test_a_missing_kernel_feature_is_named() -> None:
    kernel.check()
    with pytest.raises(NotThere, match=r"lacks warp drives: .*not found"):
        kernel.check({**kernel.TRIALS, "warp drives": "engage-the-warp-drive"})


def test_gpus_are_really_reserved(space: Space) -> None:
    pods = [pod(f"gpu{number}", container={"resources": {"limits": {"nvidia.com/gpu": 2}}}) for number in range(5)]
    space.run(*pods[:4])
    given = [
        (space.get("pod", f"gpu{number}")["spec"]["nodeName"], space.inside(f"gpu{number}", "echo $NVIDIA_VISIBLE_DEVICES"))
        for number in range(4)
    ]
    devices = [(node, device) for node, listed in given for device in listed.strip().split(",")]
    assert len(set(devices)) == 8
    space.apply(pods[4])
    space.wait("condition=PodScheduled=False", "pod/gpu4")
    conditions = {one["type"]: one for one in space.get("pod", "gpu4")["status"]["conditions"]}
    assert "Insufficient nvidia.com/gpu" in conditions["PodScheduled"]["message"]
