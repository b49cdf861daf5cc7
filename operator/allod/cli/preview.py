"""A ModelDeployment as it would be the moment after `kubectl apply`, for commands that know no cluster."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from allod import __version__
from allod.domain.serving.decide import decide
from allod.domain.serving.groups.turn import in_full
from allod.domain.serving.seen import Defaults, Seen
from allod.render.monitoring import podmonitor, prometheusrule
from allod.render.serving import httproute
from allod.render.serving.plan import plan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.manifest import Manifest
    from allod.domain.plan import Plan

IMAGES = {
    "vllm_image": ("ALLOD_VLLM_IMAGE", "docker.io/vllm/vllm-openai:v0.32.0"),
    "vllm_cpu_image": ("ALLOD_VLLM_CPU_IMAGE", "docker.io/vllm/vllm-openai-cpu:v0.31.0"),
    "llamacpp_image": ("ALLOD_LLAMACPP_IMAGE", "ghcr.io/ggml-org/llama.cpp:server-b11176"),
    "inspect_image": ("ALLOD_INSPECT_IMAGE", f"allod:{__version__}"),
}
"""The operator's own variables, else the chart's values: these know only the tag of the operator's image, as the registry is the user's."""
APIS = frozenset({podmonitor.API, prometheusrule.API, httproute.API})
"""Shown as in a cluster that has the Prometheus Operator and the Gateway API."""


def defaults(operator_image: str | None = None) -> Defaults:
    """As the operator would have them."""
    images = {field: os.environ.get(variable) or value for field, (variable, value) in IMAGES.items()}
    images |= {"inspect_image": operator_image} if operator_image else {}
    return Defaults(**images, cluster_domain=os.environ.get("ALLOD_CLUSTER_DOMAIN", "cluster.local"))


def first_plan(model: ModelDeployment, images: Defaults) -> Plan:
    """What the operator makes of it in an empty cluster."""
    seen = Seen(model=model, status={}, children=(), pods=(), defaults=images, apis=APIS)
    return plan(seen, in_full(decide(seen, datetime.now(UTC)), model.spec.replicas))


def guessed(objects: Iterable[Manifest], images: Defaults) -> str | None:
    """The operator's image, where a pod has it though nobody named it."""
    image = IMAGES["inspect_image"][1]
    pods = [each["spec"]["template"]["spec"] for each in objects if each["kind"] == "StatefulSet"]
    used = any(container["image"] == image for pod in pods for container in pod.get("initContainers") or ())
    return image if used and images.inspect_image == image else None
