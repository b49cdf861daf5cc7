"""A node that is switched off for good: what the operator says is what a person can do."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from box import Box, waiting
from cluster.models import Model, chat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.release import Release
    from cluster.space import Space


@pytest.fixture
def whole(box: Box, space: Space, release: Release) -> Iterator[Box]:
    """Both nodes, before and after."""
    release.wait_ready()
    yield box
    space.kubectl("uncordon", "node1")
    if not box.node("node2").running:
        box.start("node2")
    if "node.kubernetes.io/out-of-service" in space.kubectl("get", "node", "node2", "-o", "jsonpath={.spec.taints[*].key}"):
        space.kubectl("taint", "node", "node2", "node.kubernetes.io/out-of-service-")
    release.wait_ready()


def test_a_pod_on_a_node_that_is_off_is_let_go_by_the_command_that_its_model_names(space: Space, whole: Box) -> None:
    space.kubectl("cordon", "node1")
    model = Model.apply(space, chat())
    model.wait("Ready", "True")
    space.kubectl("uncordon", "node1")
    (pod,) = model.pods()
    assert pod["spec"]["nodeName"] == "node2"
    whole.crash("node2")
    space.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false", "--grace-period=5")
    told = model.wait("Degraded", "True", "PodStuck", seconds=180)
    command = re.search(r"kubectl (taint node node2 \S+),", told)
    assert command is not None, told
    waiting.until("Kubernetes knows that the node is gone", lambda: _not_ready(space), seconds=90)
    space.kubectl(*shlex.split(command[1]))
    model.wait("Ready", "True", seconds=120)
    (successor,) = model.pods()
    assert successor["spec"]["nodeName"] == "node1"
    model.wait("Degraded", "False")


def _not_ready(space: Space) -> bool:
    query = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    return space.kubectl("get", "node", "node2", "-o", query) != "True"
