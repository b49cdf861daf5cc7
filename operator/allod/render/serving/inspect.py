"""The init container that reads the model before the engine starts, and refuses it with numbers instead of a crash loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allod.domain.serving.adapters.adapters import SLOTS
from allod.domain.serving.model.demand import Demand, demand
from allod.domain.serving.pod import INSPECT
from allod.render.serving.security import CONTAINER

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeploymentSpec
    from allod.render.serving.sources import Source

TERMINATION_LOG = "/dev/termination-log"
MEMORY = "512Mi"
"""Of a header it parses at most 32 MiB of JSON at a time; a vocabulary of a GGUF file is skipped."""


def inspect(spec: ModelDeploymentSpec, source: Source, image: str) -> list[dict[str, Any]]:
    """None for a model that the engine downloads: there is nothing to read yet."""
    if source.volume is None:
        return []
    return [
        {
            "name": INSPECT,
            "image": image,
            "args": ["inspect", f"--model={source.location}", f"--uri={spec.model.uri}", *flags(demand(spec))],
            "terminationMessagePath": TERMINATION_LOG,
            "terminationMessagePolicy": "File",
            "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": MEMORY}},
            "securityContext": CONTAINER,
            "volumeMounts": source.mounts,
        }
    ]


def flags(asked: Demand) -> list[str]:
    """A demand in the words of `allod inspect`; what is as without a flag is left out."""
    written = {
        "engine": asked.engine,
        "tensor": asked.tensor if asked.tensor > 1 else None,
        "pipeline": asked.pipeline if asked.pipeline > 1 else None,
        "nodes": asked.nodes if asked.nodes > 1 else None,
        "gpu-memory": asked.gpu_memory,
        "gpu-memory-utilization": f"{float(asked.utilization):g}" if asked.on_gpu else None,
        "host-memory": asked.host_memory,
        "kv-memory": asked.kv_memory,
        "dtype": asked.dtype if asked.dtype != "auto" else None,
        "kv-cache-dtype": asked.kv_dtype if asked.kv_dtype != "auto" else None,
        "quantization": asked.quantization,
        "load-format": asked.load_format,
        "max-model-len": asked.max_model_len,
        "max-num-seqs": asked.max_num_seqs,
        "max-lora-rank": asked.lora_rank or None,
        "max-loras": asked.lora_slots if asked.lora_rank and asked.lora_slots != SLOTS else None,
    }
    switches = {"gpu": asked.on_gpu, "pooling": not asked.generates, "needs-pooling": asked.needs_pooling}
    given = [f"--{name}={value}" for name, value in written.items() if value is not None]
    return given + [f"--{name}" for name, on in switches.items() if on]
