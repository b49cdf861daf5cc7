"""A node of the box on which real vLLM can run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from box.image import model, vllm
from box.progress import Progress
from cluster.models import FOLDER

if TYPE_CHECKING:
    from box import Box


def prepared(box: Box, name: str) -> str:
    """The name of the node: vLLM's image is there, and a model for file:// addresses."""
    vllm.IMAGE.build(Progress())
    model.SAFETENSORS_FOLDER.build(Progress())
    node = box.node(name)
    node.load(vllm.IMAGE.path)
    node.space.run("mkdir", "-p", FOLDER)
    node.space.run("cp", "-rL", f"{model.SAFETENSORS_FOLDER.path}/.", FOLDER)
    node.space.run("chmod", "-R", "a+rX", FOLDER)
    return node.name
