"""What the tests of vLLM in pods need of the cluster: its nodes, the operator, and the big image, which only these tests load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cluster.conftest import _busybox, box, release, space
from cluster.vllmnode import prepared

if TYPE_CHECKING:
    from box import Box
    from cluster.release import Release

__all__ = ["_busybox", "box", "release", "space"]

NODE = "node1"
"""The one node that gets vLLM's image where one is enough: an import takes half a minute and 4 GB of disk."""


@pytest.fixture(scope="session")
def vllm_node(box: Box, release: Release) -> str:  # noqa: ARG001  the operator must be there before the test begins
    """The name of a node on which real vLLM can run: its image is there, and a model for file:// addresses."""
    return prepared(box, NODE)


@pytest.fixture(scope="session")
def vllm_nodes(box: Box, vllm_node: str) -> tuple[str, ...]:
    """The names of all nodes, each like that one."""
    return (vllm_node, *(prepared(box, node.name) for node in box.nodes if node.name != vllm_node))
