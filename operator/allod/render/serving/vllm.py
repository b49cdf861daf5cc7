"""The engine container of vLLM, in vLLM's own words. The reasons are measured: vLLM 0.32, November 2026."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from allod.domain.names import HTTP_PORT, RANK, REPLICA_GROUP, child, group, peers
from allod.domain.serving.model.demand import cpu_kv_memory, pod_ranks, sets_kv_memory
from allod.render.serving import adapters, probes
from allod.render.serving.environment import with_users

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment, ModelDeploymentSpec
    from allod.domain.manifest import Manifest
    from allod.render.serving.sources import Source

WATCHDOG = "/etc/allod"
CACHE = "/cache"
"""The one writable place beside /tmp: the image's root is read-only."""
SHARED_MEMORY = "2Gi"
"""The 64 MiB that a container has by itself end vLLM at its start: 160 MiB are needed even for one rank."""
SWITCH_SECONDS = 5
"""Between the order to end and SIGTERM: kube-proxy needs up to 1.1 s to send new requests elsewhere, a gateway longer."""
TEARDOWN_SECONDS = 15
"""After the last request vLLM takes 5 to 12 s to end its workers."""
RANK_PROGRAM = f"{WATCHDOG}/rank.py"
HUB_PROGRAM = f"{WATCHDOG}/hub.py"
MASTER_PORT = 29501
"""Where the ranks of several pods meet: vLLM's own default. Beside it each listens on some 13 ports at random (measured)."""
QUIET = "/health,/metrics,/ping,/allod/ready,/allod/live,/allod/heartbeat"
"""Asked every second or so: their lines would bury every other one of the log."""


def command(spec: ModelDeploymentSpec) -> list[str]:
    """VLLM itself is the first process: it passes signals on, and its orphans end with it.

    Of several pods the first becomes it. What asks the hub becomes it in every pod, once the hub has answered.
    """
    ranks = ["python3", RANK_PROGRAM] if spec.nodes > 1 else []
    asks = ["python3", HUB_PROGRAM] if spec.model.uri.scheme == "hf" else []
    return [*ranks, *asks, "vllm", "serve"]


def asks_hub(kept: Manifest) -> bool:
    """Whether the pods of a StatefulSet ask a hub before vLLM: of what was rendered, for the spec may mean another model by now."""
    return any(HUB_PROGRAM in (part.get("command") or ()) for part in kept["spec"]["template"]["spec"]["containers"])


def watched(kept: Manifest) -> bool:
    """Whether the pods of a StatefulSet mount our programs, so are of vLLM: asked of what was rendered, as above."""
    volumes = kept["spec"]["template"]["spec"].get("volumes") or []
    return any(volume.get("configMap", {}).get("name") == kept["metadata"]["name"] for volume in volumes)


def args(model: ModelDeployment, source: Source) -> list[str]:
    """Flags of `vllm serve`. The user's come last, where argparse lets the later one win."""
    spec, engine = model.spec, model.spec.engine
    flags = {
        "host": "0.0.0.0",  # noqa: S104  # a pod's own network; who may reach it is the NetworkPolicy's
        "port": HTTP_PORT,
        "revision": spec.model.revision,
        "runner": None if spec.model.task == "Generate" else "pooling",
        "dtype": engine.dtype,
        "quantization": engine.quantization,
        "kv-cache-dtype": engine.kv_cache_dtype,
        "max-model-len": engine.max_model_len,
        "max-num-seqs": engine.max_num_seqs,
        "gpu-memory-utilization": engine.gpu_memory_utilization,
        "kv-cache-memory-bytes": None if spec.resources.gpu or sets_kv_memory(spec) else cpu_kv_memory(spec),
        "tensor-parallel-size": spec.parallelism.tensor if spec.parallelism.tensor > 1 else None,
        "pipeline-parallel-size": spec.parallelism.pipeline if spec.parallelism.pipeline > 1 else None,
        "shutdown-timeout": math.ceil(spec.health.drain_timeout.seconds),
        "middleware": adapters.MIDDLEWARE if spec.adapters else "watchdog.Watchdog",
        "disable-access-log-for-endpoints": QUIET,
    }
    names = ["--served-model-name", model.served_name, *spec.model.aliases]
    ours = [f"--{flag}={value}" for flag, value in flags.items() if value is not None]
    return [
        source.location,
        *names,
        *ours,
        *(_across(spec.nodes) if spec.nodes > 1 else []),
        *adapters.flags(model),
        "--disable-fastapi-docs",
        *(_flag(*pair) for pair in sorted(engine.args.items())),
        *engine.extra_args,
    ]


def _across(nodes: int) -> list[str]:
    """One engine over several pods, without Ray. Kubernetes fills in the variables; all but the first pod get --headless by rank.py."""
    flags = {
        "distributed-executor-backend": "mp",
        "nnodes": nodes,
        "node-rank": "$(ALLOD_RANK)",
        "master-addr": "$(ALLOD_LEADER)",
        "master-port": MASTER_PORT,
    }
    return [f"--{flag}={value}" for flag, value in flags.items()]


def _flag(name: str, value: str) -> str:
    match value:
        case "true":
            return f"--{name}"
        case "false":
            return f"--no-{name}"
        case _:
            return f"--{name}={value}"


def env(model: ModelDeployment, revision: str) -> list[dict[str, Any]]:
    """Variables that the operator sets, then the user's."""
    spec = model.spec
    hang = spec.health.hang_timeout.seconds
    plain = {
        "HOME": CACHE,
        "USER": "allod",  # torch asks for a name, and the uid has no entry in /etc/passwd
        "XDG_CACHE_HOME": CACHE,
        "HF_HOME": f"{CACHE}/huggingface",
        "VLLM_CACHE_ROOT": f"{CACHE}/vllm",
        "VLLM_CONFIG_ROOT": f"{CACHE}/config",
        "TORCHINDUCTOR_CACHE_DIR": f"{CACHE}/inductor",
        "TRITON_CACHE_DIR": f"{CACHE}/triton",
        "PYTHONPATH": WATCHDOG,
        "ALLOD_HANG_SECONDS": f"{hang:g}",
        "ALLOD_MODEL": model.served_name,
        "ALLOD_TASK": spec.model.task,
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        # vLLM ends itself after 10 minutes of loading, whatever the startup probe allows.
        "VLLM_ENGINE_READY_TIMEOUT_S": f"{math.ceil(spec.health.startup_timeout.seconds)}",
        # The watchdog speaks first and traffic leaves; then the engine ends itself, for a stopped worker hears no SIGTERM.
        "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": f"{math.ceil(2 * hang)}",
    }
    if spec.model.uri.scheme != "hf":
        plain |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if not spec.resources.gpu:
        plain |= _cpu_threads(spec)
    plain |= adapters.env(model)
    listed: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in plain.items()]
    if spec.nodes > 1:
        listed += [*rank_env(model, revision), {"name": "VLLM_HOST_IP", "valueFrom": _field("status.podIP")}]
    if token := spec.model.secret_ref:
        listed.append({"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": token.name, "key": token.key}}})
    return with_users(listed, spec)


def rank_env(model: ModelDeployment, revision: str) -> list[dict[str, Any]]:
    """What rank.py goes by. Each may name those before it."""
    name, spec = model.metadata.name, model.spec
    leader = f"{group(name, revision, 0)[:-1]}$(ALLOD_GROUP)-0.{peers(name, revision)}"
    return [
        {"name": "ALLOD_GROUP", "valueFrom": _field(f"metadata.labels['{REPLICA_GROUP}']")},
        {"name": "ALLOD_RANK", "valueFrom": _field(f"metadata.labels['{RANK}']")},
        {"name": "ALLOD_NODES", "value": str(spec.nodes)},
        {"name": "ALLOD_LEADER", "value": leader},
        {"name": "ALLOD_DRAIN_SECONDS", "value": f"{spec.health.drain_timeout.seconds:g}"},
    ]


def _field(path: str) -> dict[str, Any]:
    return {"fieldRef": {"fieldPath": path}}


def _cpu_threads(spec: ModelDeploymentSpec) -> dict[str, str]:
    """A pod's CPU limit is a share of time and not a set of cores: bound threads of several pods would meet on the same cores."""
    cores = int(spec.resources.cpu.cores) if spec.resources.cpu else 1
    return {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": f"{max(1, cores // pod_ranks(spec))}"}


def health(spec: ModelDeploymentSpec) -> dict[str, Any]:
    """Probes on the watchdog: vLLM's own /health stays 200 while a worker hangs."""
    return probes.probes(spec.health, ready="/allod/ready", live="/allod/live", slowest=6)


def lifecycle() -> dict[str, Any]:
    """Traffic leaves first, then SIGTERM lets vLLM finish what is in flight."""
    return {"preStop": {"sleep": {"seconds": SWITCH_SECONDS}}}


def grace_seconds(spec: ModelDeploymentSpec) -> int:
    """Until SIGKILL: leave the endpoints, drain, end the workers."""
    return SWITCH_SECONDS + math.ceil(spec.health.drain_timeout.seconds) + TEARDOWN_SECONDS


def volumes(model: ModelDeployment, revision: str) -> list[dict[str, Any]]:
    """Beside the model's own."""
    size = model.spec.resources.shared_memory or SHARED_MEMORY
    return [
        {"name": "watchdog", "configMap": {"name": child(model.metadata.name, revision)}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": str(size)}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "cache", "emptyDir": {}},
        *adapters.volumes(model, revision),
    ]


def mounts(model: ModelDeployment) -> list[dict[str, Any]]:
    """Of those volumes."""
    return [
        {"name": "watchdog", "mountPath": WATCHDOG, "readOnly": True},
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108  # the kernel's name for it
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # a volume of the pod's own
        {"name": "cache", "mountPath": CACHE},
        *adapters.mounts(model),
    ]
