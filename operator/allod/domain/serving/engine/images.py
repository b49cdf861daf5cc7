"""Which image an engine runs from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeploymentSpec
    from allod.domain.serving.seen import Defaults

TAGGED = re.compile(r":v?(\d+)\.(\d+)(?:\.\d+)?(?:[.+-][A-Za-z0-9_.-]*)?(?:@.*)?$")
"""`vllm/vllm-openai:v0.32.0`, `...-cpu:v0.32.0-x86_64`: how the projects tag, and most registries that mirror them."""


def engine_image(spec: ModelDeploymentSpec, defaults: Defaults) -> str:
    """The spec's, else the chart's for this type of engine."""
    if spec.engine.image:
        return spec.engine.image
    if spec.engine.type == "LlamaCpp":
        return defaults.llamacpp_image
    return defaults.vllm_image if spec.resources.gpu else defaults.vllm_cpu_image


def minor_version(image: str) -> str | None:
    """`0.32` of an image's tag. None: the tag names no version, so nothing may be concluded from it."""
    found = TAGGED.search(image)
    return f"{found[1]}.{found[2]}" if found else None
