"""Will the model fit? The arithmetic of memory, before a GPU is taken.

KV cache per token and rank follows vLLM exactly (all measured sizes of 0.32, on CPUs and a GPU, see the tests); weights and overhead are
estimates, so only a clear misfit is refused and 10 % around the limit are a warning. What cannot be known is said to be unknown:

    weights    stored bytes x 1.02 / ranks
    adapters   places for LoRA, see lora.py
    overhead   GPU: 2.3 GiB + 5 % of the weights;  vLLM on CPU: 1.3 GiB a pod + 0.85 GiB a rank;  llama.cpp: 128 MiB + 5 %
    KV/token   layers/pp x 2 x max(1, kv heads // tp) x head size x bytes        grouped-query or multi-head attention
               layers/pp x (latent + rope) x bytes                               multi-head latent attention: not divided by tp
    limit      GPU memory x gpuMemoryUtilization, or the pod's memory on CPUs
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from allod.domain.quantity import GIB, MIB, count, memory
from allod.domain.serving.model.lora import lora_bytes

if TYPE_CHECKING:
    from allod.domain.serving.model.architecture import Architecture, Weights
    from allod.domain.serving.model.demand import Demand

Verdict = Literal["Fits", "Tight", "Misfit", "Unknown"]

LOADED = Fraction("1.02")
"""Bytes in memory per stored byte: KAITO's factor, taken from its fleet. Measured on an H100: plain bf16 1.00, mxfp4 1.02."""
GPU_OVERHEAD = 23 * GIB // 10
GPU_OVERHEAD_SHARE = Fraction("0.05")
"""CUDA context, graphs and activations: KAITO's numbers, after a flat 2.3 GiB had let models crash-loop. Measured with vLLM 0.32 on an H100
for weights of 15, 29 and 61 GiB: 2.6 to 3.1, 3.4 and 4.7 GiB, of it graphs 0.5 to 0.8; up to 2.3 GiB less with --enforce-eager."""
CPU_OVERHEAD = 13 * GIB // 10
CPU_OVERHEAD_RANK = 17 * GIB // 20
"""vLLM 0.32 on CPU: API server 0.67 and engine core 0.57 GiB, a worker 0.7-0.85 GiB beside weights and KV cache (measured)."""
LLAMA_OVERHEAD = 128 * MIB
"""llama.cpp 0.7 with a 94 MB model: 186-266 MiB resident in all (measured)."""
SLACK = Fraction(1, 10)
"""Within this much of the limit nothing is refused."""

SERVED_BYTES = {"float32": 4, "float": 4, "bfloat16": 2, "float16": 2, "half": 2}
KV_BYTES = {**SERVED_BYTES, "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1}
ONLINE_BITS = {"fp8": 8, "fp8_per_tensor": 8, "fp8_per_block": 8, "fp8_per_channel": 8, "int8_per_channel_weight_only": 8, "mxfp8": 8}
"""Quantization while loading, of a checkpoint that is not quantized. Embeddings and the output layer stay as they are: without them
a Qwen3-32B in fp8 was reckoned 0.9 GiB lighter than it is (measured), and for an 8B model they are 13 to 15 % of all."""
BLOCK_CPU, BLOCK_GPU = 128, 16
"""Tokens of one KV block; the cache is a whole number of them. MLA has 16 everywhere."""
MOST_GPUS = 64


@dataclass(frozen=True, slots=True)
class Fit:
    """The answer, and the numbers that it rests on."""

    verdict: Verdict
    reason: str
    """CamelCase, for a condition."""
    message: str
    """One sentence with the numbers; for a misfit also what would fit."""
    weights: int | None = None
    """Bytes of one rank."""
    kv_bytes_per_token: int | None = None
    """Of one rank."""
    kv_cache_tokens: int | None = None
    max_concurrency: float | None = None
    """Requests of the full length at once."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes of one rank: what there is and what is taken before any request comes."""

    limit: int
    weights: int
    overhead: int
    adapters: int = 0
    """Places for LoRA adapters."""

    @property
    def taken(self) -> int:
        """Before any KV cache."""
        return self.weights + self.adapters + self.overhead

    @property
    def free(self) -> int:
        """For the KV cache; negative when not even the weights fit."""
        return self.limit - self.taken

    def __str__(self) -> str:
        places = f" + places for adapters {memory(self.adapters)}" if self.adapters else ""
        return f"weights {memory(self.weights)}{places} + overhead {memory(self.overhead)}"


def fit(architecture: Architecture, weights: Weights, demand: Demand) -> Fit:
    """Judge one model under one spec. `weights.stored` 0 means that nobody knows them: then nothing is refused for memory."""
    if found := _indivisible(architecture, demand) or _without_pooling(architecture, demand):
        return found
    per_rank = loaded_bytes(architecture, weights, demand) // demand.ranks
    limit = _limit(demand)
    if limit is None:
        missing = "resources.gpu.memory is not given, so it is left to the engine to find out whether the model fits"
        return Fit("Unknown", "MemoryNotGiven", missing, weights=per_rank or None)
    if not weights.stored:
        return Fit("Unknown", "WeightsUnknown", "the size of the weights is not known before they are there")
    budget = Budget(limit, per_rank, _overhead(per_rank, demand), _adapters(architecture, demand))
    if _beyond(budget.taken, budget.limit):
        return Fit("Misfit", "DoesNotFit", _too_heavy(architecture, weights, demand, budget), weights=per_rank)
    per_token = kv_bytes_per_token(architecture, demand)
    if per_token is None or not demand.generates:
        return Fit("Unknown", "KVCacheUnknown", _unknown(architecture, demand), weights=per_rank)
    return _cache(architecture, demand, budget, per_token)


def kv_bytes_per_token(architecture: Architecture, demand: Demand) -> int | None:
    """Bytes of KV cache that one token takes on one rank. None: this model or type has no single formula."""
    size = _kv_size(architecture, demand)
    if architecture.irregular or size is None:
        return None
    layers = -(-architecture.layers // demand.pipeline)  # the largest stage decides
    if architecture.latent:
        return layers * architecture.latent * size
    return layers * 2 * max(1, architecture.kv_heads // demand.tensor) * architecture.head_dim * size


def tokens(kv_memory: int, per_token: int, block: int) -> int:
    """Tokens that have room, in whole blocks."""
    return max(0, kv_memory) // per_token // block * block


def loaded_bytes(architecture: Architecture, weights: Weights, demand: Demand) -> int:
    """Bytes of all weights once they are loaded, over all ranks."""
    if architecture.quantization or demand.engine == "LlamaCpp":
        return int(weights.stored * LOADED)
    served = SERVED_BYTES.get(_served(architecture, demand), 2)
    bits = ONLINE_BITS.get(demand.quantization or "", served * 8)
    kept = min(architecture.embeddings, weights.plain_parameters)
    plain = kept * served + (weights.plain_parameters - kept) * bits // 8
    return int((weights.stored - weights.plain_stored + plain) * LOADED)


def _served(architecture: Architecture, demand: Demand) -> str:
    if demand.dtype != "auto":
        return demand.dtype
    return "float16" if architecture.dtype == "float32" else architecture.dtype  # vLLM's auto halves float32


def _kv_size(architecture: Architecture, demand: Demand) -> int | None:
    if demand.engine == "LlamaCpp":
        return KV_BYTES["float16"]
    written = demand.kv_dtype
    if written == "auto":
        written = architecture.kv_dtype or _served(architecture, demand)
    return KV_BYTES.get(written)


def _indivisible(architecture: Architecture, demand: Demand) -> Fit | None:
    heads, tensor = architecture.attention_heads, demand.tensor
    if heads % tensor and not architecture.irregular:
        possible = ", ".join(str(number) for number in range(1, min(heads, MOST_GPUS) + 1) if heads % number == 0)
        message = f"{count(heads, 'attention head')} cannot be divided among parallelism.tensor {tensor}; possible are {possible}"
        return Fit("Misfit", "HeadsNotDivisible", message)
    if demand.pipeline > architecture.layers:
        message = f"parallelism.pipeline {demand.pipeline} is more than the model's {count(architecture.layers, 'layer')}"
        return Fit("Misfit", "TooFewLayers", message)
    return None


def _without_pooling(architecture: Architecture, demand: Demand) -> Fit | None:
    """Such a server starts, is well, and answers 400 to every request for an embedding (llama.cpp 0.7)."""
    if architecture.pools or not demand.needs_pooling:
        return None
    todo = "set pooling in engine.args to mean, cls or last, whichever the model was trained for"
    return Fit("Misfit", "PoolingMissing", f"the model's file does not say how llama.cpp makes one embedding of its tokens: {todo}")


def _limit(demand: Demand) -> int | None:
    if demand.on_gpu:
        return None if demand.gpu_memory is None else int(demand.gpu_memory * demand.utilization)
    return None if demand.host_memory is None else demand.host_memory // demand.pod_ranks


def _overhead(per_rank: int, demand: Demand) -> int:
    if demand.engine == "LlamaCpp":
        return LLAMA_OVERHEAD + int(per_rank * GPU_OVERHEAD_SHARE)
    if demand.on_gpu:
        return GPU_OVERHEAD + int(per_rank * GPU_OVERHEAD_SHARE)
    return CPU_OVERHEAD // demand.pod_ranks + CPU_OVERHEAD_RANK


def _adapters(architecture: Architecture, demand: Demand) -> int:
    return lora_bytes(architecture, demand, SERVED_BYTES.get(_served(architecture, demand), 2))


def _cache(architecture: Architecture, demand: Demand, budget: Budget, per_token: int) -> Fit:
    length = demand.max_model_len or architecture.context
    block = BLOCK_GPU if architecture.latent or demand.on_gpu else BLOCK_CPU
    room = budget.free if demand.kv_memory is None else demand.kv_memory
    found = tokens(room, per_token, 1 if demand.engine == "LlamaCpp" else block)
    figures = {"weights": budget.weights, "kv_bytes_per_token": per_token, "kv_cache_tokens": found}
    if length is None:
        return Fit("Unknown", "LengthUnknown", "neither engine.maxModelLen nor the model says how long a request may be", **figures)
    slots = (demand.max_num_seqs or 1) if demand.engine == "LlamaCpp" else 1
    cache = per_token * length * slots
    concurrency = round(found / length, 2)
    need = budget.taken + max(cache, demand.kv_memory or 0)
    sentence = _sentence(demand, budget, cache if demand.kv_memory is None else demand.kv_memory, length * slots)
    if demand.kv_memory is not None and cache > demand.kv_memory * (1 + SLACK):
        message = f"{count(length, 'token')} need {memory(cache)} of KV cache, and {memory(demand.kv_memory)} are set aside for it"
        return Fit("Misfit", "DoesNotFit", f"{message}; {_longest(demand.kv_memory, per_token, block, slots)}", **figures)
    if _beyond(need, budget.limit):
        return Fit("Misfit", "DoesNotFit", f"{sentence}; {_longest(budget.free, per_token, block, slots)}", **figures)
    if need > budget.limit * (1 - SLACK):
        return Fit("Tight", "NearTheLimit", f"{sentence}: near the limit, the engine may refuse it", **figures, max_concurrency=concurrency)
    return Fit("Fits", "Fits", sentence, **figures, max_concurrency=concurrency)


def _beyond(need: int, limit: int) -> bool:
    return need > limit * (1 + SLACK)


def _longest(room: int, per_token: int, block: int, slots: int) -> str:
    longest = tokens(room, per_token * slots, block)
    return f"engine.maxModelLen {longest} would fit" if longest else "no engine.maxModelLen would fit"


def _sentence(demand: Demand, budget: Budget, cache: int, length: int) -> str:
    parts = f"{budget} + KV cache {memory(cache)} for {count(length, 'token')}"
    return f"{parts} = {memory(budget.taken + cache)} of {_of(demand, budget)}"


def _of(demand: Demand, budget: Budget) -> str:
    if demand.on_gpu and demand.gpu_memory is not None:
        return f"{memory(demand.gpu_memory)} x {float(demand.utilization):g} = {memory(budget.limit)} of each GPU"
    return f"{memory(budget.limit)} of the pod's memory" + (" for each rank" if demand.pod_ranks > 1 else "")


def _too_heavy(architecture: Architecture, weights: Weights, demand: Demand, budget: Budget) -> str:
    taken = f"{budget} do not fit {_of(demand, budget)}"
    if not demand.on_gpu:
        needed = budget.taken * demand.pod_ranks
        return f"{taken}; resources.memory has to be more than {memory(needed)}"
    total = loaded_bytes(architecture, weights, demand)
    smaller = "" if architecture.quantization else " or a quantized checkpoint"
    for tensor in range(demand.tensor + 1, min(architecture.attention_heads, MOST_GPUS) + 1):
        share = total // tensor // demand.pipeline
        rest = _overhead(share, demand) + _adapters(architecture, replace(demand, tensor=tensor))
        if architecture.attention_heads % tensor == 0 and share + rest <= budget.limit:
            return f"{taken}; it needs {count(tensor * demand.pipeline, 'GPU')}{smaller}"
    return f"{taken}; it needs larger GPUs{smaller}"


def _unknown(architecture: Architecture, demand: Demand) -> str:
    if not demand.generates:
        return "the weights fit; the memory of requests depends on their length and is left to the engine"
    why = f"{architecture.name} has {architecture.irregular}" if architecture.irregular else f"the KV cache has the type {demand.kv_dtype}"
    return f"the weights fit; the KV cache cannot be reckoned beforehand, for {why}"
