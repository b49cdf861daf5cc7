"""Which program serves the model, and how: the typed settings, and the way past them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from allod.api.base import ApiModel, Text, Token
from allod.api.corev1 import EnvVar, LocalObjectReference
from allod.api.enginerules import ARG_NAMES, ENGINE, ENV, IMAGE_SHAPE, UTILIZATION
from allod.api.markers import ListMap
from allod.api.values import Ratio


class Engine(ApiModel):
    """Which program serves the model, and with which settings. What is left out is the engine's own default."""

    type: Literal["vLLM", "LlamaCpp"]
    """vLLM for GPUs (and, with its CPU image, for tests); LlamaCpp for CPUs and the edge: one GGUF file, no GPU."""
    image: Annotated[str, Field(min_length=1, max_length=512), IMAGE_SHAPE] | None = None
    """Image of the engine. Without it: the image of this type in the chart's values, chosen once per revision, so that an upgrade
    of the operator restarts no model."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """For the engine's image and, with oci://, the model's. Without it: Kubernetes' own rule (Always for the tag latest)."""
    image_pull_secrets: Annotated[tuple[LocalObjectReference, ...], Field(max_length=8), ListMap()] = ()
    """Secrets of the namespace with credentials of registries, for the engine's image and the model's."""
    dtype: Literal["auto", "half", "float16", "bfloat16", "float", "float32"] | None = None
    """Type of weights and activations; vLLM only. Without it: auto, which is the checkpoint's."""
    quantization: Token | None = None
    """Method such as awq, gptq, fp8 or compressed-tensors; vLLM only. Mostly left out: the engine reads it from the checkpoint."""
    kv_cache_dtype: Token | None = None
    """Type of the KV cache, such as auto, fp8 or fp8_e4m3; vLLM only. Without it: auto, which is the model's."""
    max_model_len: Annotated[int, Field(ge=16, le=16_777_216)] | None = None
    """Longest prompt and answer together, in tokens. Without it: what the model's configuration says, which may need more memory
    than there is. With LlamaCpp each of the maxNumSeqs slots has this context; without a number of slots they share it."""
    max_num_seqs: Annotated[int, Field(ge=1, le=65_536)] | None = None
    """Requests that are worked on at the same time; others wait. LlamaCpp calls them slots. Without it: the engine's own default."""
    gpu_memory_utilization: Annotated[Ratio, UTILIZATION] | None = None
    """Part of each GPU's memory that the engine takes, such as "0.85"; vLLM only. Without it: vLLM's own, "0.92"."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Threads that compute; LlamaCpp only. Without it: resources.cpu, rounded down, at least 1: more threads than cores
    wait for each other."""
    args: Annotated[dict[str, Text], Field(max_length=64), ARG_NAMES] = Field(default_factory=dict)
    """Further flags without their dashes: `{reasoning-parser: deepseek_r1}` becomes `--reasoning-parser=deepseek_r1`. "true" turns a
    switch on, "false" turns it off by its `no-` form. A map, so that two appliers may own one flag each. What has a field of
    its own is refused here."""
    extra_args: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=1024)], ...], Field(max_length=64)] = ()
    """Arguments as they are, after all others: for flags that repeat."""
    env: Annotated[tuple[EnvVar, ...], Field(max_length=64), ListMap(), *ENV] = ()
    """Environment variables of the engine. What the operator sets itself is refused here."""

    rules = ENGINE
