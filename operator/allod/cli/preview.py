"""A ModelDeployment as it would be the moment after `kubectl apply`, for commands that know no cluster."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from allod.domain.serving.decide import decide
from allod.domain.serving.seen import Defaults, Seen
from allod.render.monitoring import podmonitor, prometheusrule
from allod.render.serving import httproute
from allod.render.serving.plan import plan

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.plan import Plan

IMAGES = {
    "vllm_image": ("ALLOD_VLLM_IMAGE", "docker.io/vllm/vllm-openai:v0.32.0"),
    "vllm_cpu_image": ("ALLOD_VLLM_CPU_IMAGE", "docker.io/vllm/vllm-openai-cpu:v0.31.0"),
    "llamacpp_image": ("ALLOD_LLAMACPP_IMAGE", "ghcr.io/ggml-org/llama.cpp:server-b11176"),
    "inspect_image": ("ALLOD_INSPECT_IMAGE", "allod"),
}
"""The operator's own variables, else the chart's values."""
APIS = frozenset({podmonitor.API, prometheusrule.API, httproute.API})
"""Shown as in a cluster that has the Prometheus Operator and the Gateway API."""


def defaults() -> Defaults:
    """As the operator would have them."""
    images = {field: os.environ.get(variable) or value for field, (variable, value) in IMAGES.items()}
    return Defaults(**images, cluster_domain=os.environ.get("ALLOD_CLUSTER_DOMAIN", "cluster.local"))


def first_plan(model: ModelDeployment) -> Plan:
    """What the operator does with it in an empty cluster."""
    seen = Seen(model=model, status={}, children=(), pods=(), defaults=defaults(), apis=APIS)
    return plan(seen, decide(seen, datetime.now(UTC)))
