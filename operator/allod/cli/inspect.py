"""`allod inspect`: reads a mounted model in a pod's init container, before the engine starts, and refuses it with numbers."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from allod.cli.modelfiles import MissingError, Model, load
from allod.contracts.inspection import LONGEST_MESSAGE, Inspection
from allod.domain.serving.adapters.adapters import SLOTS
from allod.domain.serving.model.architecture import UnreadableError
from allod.domain.serving.model.demand import GPU_UTILIZATION, Demand
from allod.domain.serving.model.fit import fit

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

TERMINATION_LOG = "/dev/termination-log"
KEEPS = 4096
"""Bytes that kubelet keeps of it."""


def arguments(parser: ArgumentParser) -> None:
    """Flags of the command: the part of a spec that memory depends on, as the pod template writes it."""
    parser.add_argument("--model", required=True, type=Path, help="folder or GGUF file to read")
    parser.add_argument("--uri", default="", help="model.uri, for the sentence of a refusal")
    parser.add_argument("--engine", choices=["vLLM", "LlamaCpp"], default="vLLM")
    parser.add_argument("--tensor", type=int, default=1)
    parser.add_argument("--pipeline", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=1, help="pods that share the ranks")
    parser.add_argument("--gpu", action="store_true", help="the engine runs on GPUs")
    parser.add_argument("--gpu-memory", type=int, help="bytes of one GPU")
    parser.add_argument("--gpu-memory-utilization", type=Fraction, default=GPU_UTILIZATION)
    parser.add_argument("--host-memory", type=int, help="bytes that the pod may take")
    parser.add_argument("--kv-memory", type=int, help="bytes of KV cache of one rank, where a flag fixes them")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--kv-cache-dtype", default="auto")
    parser.add_argument("--quantization")
    parser.add_argument("--load-format", help="how the engine finds the weights, where it is not told to find them by itself")
    parser.add_argument("--max-model-len", type=int)
    parser.add_argument("--max-num-seqs", type=int)
    parser.add_argument("--max-lora-rank", type=int, default=0, help="the highest of an adapter; 0: there are none")
    parser.add_argument("--max-loras", type=int, default=SLOTS, help="adapters in the engine's memory at once")
    parser.add_argument("--pooling", action="store_true", help="embeddings or reranking")
    parser.add_argument("--needs-pooling", action="store_true", help="no flag says how one embedding is made, so the file has to")
    parser.add_argument("--termination-log", type=Path, default=Path(TERMINATION_LOG), help="where the result is written")


def run(given: Namespace) -> int:
    """Inspect, tell, and return 1 when the engine must not be started."""
    found = inspect(given)
    print(found.message)  # noqa: T201  # a container's log
    if given.termination_log.parent.is_dir():
        given.termination_log.write_bytes(found.text().encode()[:KEEPS])
    return 1 if found.refuses else 0


def inspect(given: Namespace) -> Inspection:
    """Read the model and judge it. A model that cannot be read is a result, not an exception."""
    at = f"{given.uri}: " if given.uri else ""
    try:
        model = load(given.model)
    except MissingError as error:
        return _refusal("Missing", "ModelMissing", f"{at}{error}")
    except UnreadableError as error:
        return _refusal("Unreadable", "ModelUnreadable", f"{at}{error}")
    except PermissionError as error:
        sentence = f"{error.filename} may not be read by the uid of the pod: make it readable for everybody, or for its group"
        return _refusal("Unreadable", "ModelUnreadable", f"{at}{sentence}")
    except OSError as error:
        return _refusal("Unreadable", "ModelUnreadable", f"{at}{error.filename or given.model}: {error.strerror}")
    if found := _wrong_shape(given, model, at):
        return found
    return _judged(model, given)


def _wrong_shape(given: Namespace, model: Model, at: str) -> Inspection | None:
    if given.engine == "LlamaCpp" and given.model.is_dir():
        return _refusal("Unreadable", "ModelUnreadable", f"{at}llama.cpp needs one GGUF file, and {given.model} is a folder: name the file")
    if given.engine == "vLLM" and given.model.is_file():
        return _refusal("Unreadable", "ModelUnreadable", f"{at}vLLM needs a folder with config.json, and {given.model} is a file")
    if not model.weights.stored and not given.load_format:
        return _refusal(
            "Missing", "ModelMissing", f"{at}{given.model} has a config.json and no weights: *.safetensors or pytorch_model*.bin"
        )
    return None


def _judged(model: Model, given: Namespace) -> Inspection:
    found = fit(model.architecture, model.weights, demand(given))
    return Inspection(
        verdict=found.verdict,
        reason=found.reason,
        message=found.message[:LONGEST_MESSAGE],
        architecture=model.architecture.name,
        parameters=model.weights.parameters,
        layers=model.architecture.layers,
        weights=found.weights,
        kv_bytes_per_token=found.kv_bytes_per_token,
        kv_cache_tokens=found.kv_cache_tokens,
        max_concurrency=found.max_concurrency,
        digest=model.digest,
    )


def demand(given: Namespace) -> Demand:
    """Flags to a demand: what `render.serving.inspect.flags` wrote."""
    return Demand(
        engine=given.engine,
        generates=not given.pooling,
        needs_pooling=given.needs_pooling,
        tensor=given.tensor,
        pipeline=given.pipeline,
        nodes=given.nodes,
        on_gpu=given.gpu,
        gpu_memory=given.gpu_memory,
        utilization=given.gpu_memory_utilization,
        host_memory=given.host_memory,
        kv_memory=given.kv_memory,
        dtype=given.dtype,
        kv_dtype=given.kv_cache_dtype,
        quantization=given.quantization,
        load_format=given.load_format,
        max_model_len=given.max_model_len,
        max_num_seqs=given.max_num_seqs,
        lora_rank=given.max_lora_rank,
        lora_slots=given.max_loras,
    )


def _refusal(verdict: str, reason: str, message: str) -> Inspection:
    return Inspection.model_validate({"verdict": verdict, "reason": reason, "message": message[:LONGEST_MESSAGE]})
