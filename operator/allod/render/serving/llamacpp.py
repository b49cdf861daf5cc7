"""The engine container of llama.cpp, in llama-server's own words (0.7.0). The image's entrypoint is llama-server."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from allod.domain.names import HTTP_PORT
from allod.render.serving import probes
from allod.render.serving.environment import with_users

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment, ModelDeploymentSpec
    from allod.render.serving.sources import Source

SWITCH_SECONDS = 5
"""As with vLLM: until new requests go elsewhere."""
TEARDOWN_SECONDS = 5
FIXED = ("--metrics", "--offline", "--no-webui", "--no-slots")
"""Figures on; no downloads; no page for browsers and no list of what others ask on a port that is for clients."""
TASK: dict[str, list[str]] = {"Generate": [], "Embed": ["--embedding"], "Rerank": ["--reranking"]}


def args(model: ModelDeployment, source: Source) -> list[str]:
    """Flags of llama-server. The user's come last, where the later one wins."""
    spec, engine = model.spec, model.spec.engine
    slots = engine.max_num_seqs
    # A text is embedded or ranked in one batch, and one longer than the batch is refused: 512 tokens, whatever maxModelLen promises.
    batch = engine.max_model_len if spec.model.task != "Generate" else None
    flags = {
        "-m": source.location,
        "--alias": ",".join([model.served_name, *spec.model.aliases]),
        # The context is shared by the slots, and each is promised maxModelLen. Without a number of slots they share one pool.
        "-c": engine.max_model_len * (slots or 1) if engine.max_model_len else None,
        "--parallel": slots,
        "--batch-size": batch,
        "--ubatch-size": batch,
        "-t": engine.threads or (max(1, int(spec.resources.cpu.cores)) if spec.resources.cpu else 1),
        "--host": "0.0.0.0",  # noqa: S104  # a pod's own network; who may reach it is the NetworkPolicy's
        "--port": HTTP_PORT,
    }
    ours = [word for flag, value in flags.items() if value is not None for word in (flag, str(value))]
    written = [word for name, value in sorted(engine.args.items()) for word in _flag(name, value)]
    return [*ours, *FIXED, *TASK[spec.model.task], *written, *engine.extra_args]


def _flag(name: str, value: str) -> list[str]:
    match value:
        case "true":
            return [f"--{name}"]
        case "false":
            return [f"--no-{name}"]
        case _:
            return [f"--{name}", value]


def env(model: ModelDeployment) -> list[dict[str, Any]]:
    """llama-server needs none of ours but a home that it may write to."""
    return with_users([{"name": "HOME", "value": "/tmp"}], model.spec)  # noqa: S108  # a volume of the pod's own


def health(spec: ModelDeploymentSpec) -> dict[str, Any]:
    """/health is 503 while the model loads, and a hung server does not answer it."""
    return probes.probes(spec.health, ready="/health", live="/health", slowest=2)


def lifecycle(spec: ModelDeploymentSpec) -> dict[str, Any]:
    """SIGTERM breaks what is in flight (measured), so the draining comes before it."""
    return {"preStop": {"sleep": {"seconds": drain_seconds(spec)}}}


def drain_seconds(spec: ModelDeploymentSpec) -> int:
    """Never shorter than new requests need to go elsewhere."""
    return max(SWITCH_SECONDS, math.ceil(spec.health.drain_timeout.seconds))


def grace_seconds(spec: ModelDeploymentSpec) -> int:
    """Until SIGKILL: drain, then end."""
    return drain_seconds(spec) + TEARDOWN_SECONDS


def volumes(spec: ModelDeploymentSpec) -> list[dict[str, Any]]:
    """Beside the model's own. /dev/shm only where asked for: it is one process."""
    size = spec.resources.shared_memory
    shared = [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": str(size)}}] if size else []
    return [*shared, {"name": "tmp", "emptyDir": {}}]


def mounts(spec: ModelDeploymentSpec) -> list[dict[str, Any]]:
    """Of those volumes."""
    shared = [{"name": "shm", "mountPath": "/dev/shm"}] if spec.resources.shared_memory else []  # noqa: S108  # the kernel's name for it
    return [*shared, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108  # a volume of the pod's own
