"""What a spec asks of a model's memory: the half of the arithmetic that the model's files do not know."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from allod.domain.serving.adapters.adapters import SLOTS, room

if TYPE_CHECKING:
    from collections.abc import Iterable

    from allod.api.modeldeployment import ModelDeploymentSpec

GPU_UTILIZATION = Fraction("0.92")
"""vLLM 0.32's own default of --gpu-memory-utilization; 0.9 before."""
CPU_KV_SHARE = Fraction(1, 4)
"""Of a CPU pod's memory for the KV cache. vLLM's own default is made for a whole machine and knows no memory limit of a container."""
UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
"""As vLLM reads numbers with a unit: small letters decimal, capitals binary."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Settings that decide about memory, defaults of the engine filled in."""

    engine: Literal["vLLM", "LlamaCpp"] = "vLLM"
    generates: bool = True
    """False for embeddings and reranking: there a request needs no KV cache that outlives it."""
    needs_pooling: bool = False
    """The file itself must say how the vectors of tokens become one: embeddings by llama.cpp, and no flag says it."""
    tensor: int = 1
    pipeline: int = 1
    nodes: int = 1
    """Pods that share the ranks, the same number each."""
    on_gpu: bool = True
    gpu_memory: int | None = None
    """Bytes of one GPU. None: nobody said."""
    utilization: Fraction = GPU_UTILIZATION
    """Part of a GPU that the engine takes."""
    host_memory: int | None = None
    """Bytes that the pod may take: the budget of a CPU engine."""
    kv_memory: int | None = None
    """Bytes of KV cache of one rank, where a flag fixes them. None: what is left over."""
    dtype: str = "auto"
    kv_dtype: str = "auto"
    quantization: str | None = None
    """Asked for in the spec; the checkpoint may have its own."""
    load_format: str | None = None
    """How the engine finds the weights. None: by itself, so they have to be there."""
    max_model_len: int | None = None
    """Tokens of one request. None: all that the model was made for."""
    max_num_seqs: int | None = None
    """For LlamaCpp the number of slots, each with a context of its own."""
    lora_rank: int = 0
    """The highest of an adapter. 0: there are none."""
    lora_slots: int = SLOTS
    """Adapters that have their place in the engine's memory at once."""

    @property
    def ranks(self) -> int:
        """Processes that share the model: GPUs, where there are any."""
        return self.tensor * self.pipeline

    @property
    def pod_ranks(self) -> int:
        """Those of one pod."""
        return max(1, self.ranks // self.nodes)


def demand(spec: ModelDeploymentSpec) -> Demand:
    """Read the settings from a spec."""
    engine, resources, gpu = spec.engine, spec.resources, spec.resources.gpu
    space = room(spec.adapters)
    return Demand(
        engine=engine.type,
        generates=spec.model.task == "Generate",
        needs_pooling=engine.type == "LlamaCpp" and spec.model.task == "Embed" and _flag("pooling", spec) is None,
        tensor=spec.parallelism.tensor,
        pipeline=spec.parallelism.pipeline,
        nodes=spec.nodes,
        on_gpu=gpu is not None,
        gpu_memory=gpu.memory.bytes if gpu and gpu.memory else None,
        utilization=Fraction(engine.gpu_memory_utilization) if engine.gpu_memory_utilization else GPU_UTILIZATION,
        host_memory=resources.memory.bytes,
        kv_memory=kv_memory(spec),
        dtype=engine.dtype or "auto",
        kv_dtype=engine.kv_cache_dtype or "auto",
        quantization=engine.quantization,
        load_format=engine.args.get("load-format"),
        max_model_len=engine.max_model_len,
        max_num_seqs=engine.max_num_seqs,
        lora_rank=space.rank if space else 0,
        lora_slots=int(slots) if (slots := _flag("max-loras", spec)) and slots.isdecimal() else SLOTS,
    )


def kv_memory(spec: ModelDeploymentSpec) -> int | None:
    """Bytes of KV cache of one rank, where a flag, a variable or the operator fixes them. None: what is left over on the GPU."""
    engine = spec.engine
    if engine.type == "LlamaCpp":
        return None
    written = _flag("kv-cache-memory-bytes", spec)
    if spec.resources.gpu:
        return human_bytes(written) if written else None
    gibibytes = next((variable.value for variable in engine.env if variable.name == "VLLM_CPU_KVCACHE_SPACE" and variable.value), None)
    if gibibytes and gibibytes.isdigit() and int(gibibytes):
        return int(gibibytes) * 2**30  # on CPUs it overrides the flag
    if written:
        return human_bytes(written)
    return cpu_kv_memory(spec)


def cpu_kv_memory(spec: ModelDeploymentSpec) -> int:
    """What the operator gives a CPU engine that was told nothing, bytes per rank, whole MiB."""
    return math.floor(spec.resources.memory.bytes * CPU_KV_SHARE / pod_ranks(spec)) // 2**20 * 2**20


def pod_ranks(spec: ModelDeploymentSpec) -> int:
    """Processes of one pod that share the model."""
    return max(1, spec.parallelism.tensor * spec.parallelism.pipeline // spec.nodes)


def sets_kv_memory(spec: ModelDeploymentSpec) -> bool:
    """Whether the user fixed the KV cache of a CPU engine."""
    return _flag("kv-cache-memory-bytes", spec) is not None or any(
        variable.name == "VLLM_CPU_KVCACHE_SPACE" for variable in spec.engine.env
    )


def _flag(name: str, spec: ModelDeploymentSpec) -> str | None:
    return spec.engine.args.get(name) or _raw(f"--{name}", spec.engine.extra_args)


def _raw(flag: str, words: Iterable[str]) -> str | None:
    listed = [*words]
    for at, word in enumerate(listed):
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
        if word == flag and at + 1 < len(listed):
            return listed[at + 1]
    return None


def human_bytes(written: str) -> int | None:
    """`64M`, `1.5g` or plain bytes as vLLM reads them. None: it is no such number, and the engine will say so."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([kmgtKMGT]?)", written.strip())
    return int(Fraction(found[1]) * UNITS.get(found[2], 1)) if found else None
