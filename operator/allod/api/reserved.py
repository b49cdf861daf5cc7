"""Flags and variables that are not the user's to set on an engine, each with what to do instead."""

from __future__ import annotations

import re
from typing import Final

OURS = "the operator sets it"
ONE_SERVER = "use replicas, as each pod is one engine that is watched as one"
TLS = "put a proxy before the model, as the probes speak HTTP"

DATA_PARALLEL = (
    "data-parallel-size",
    "data-parallel-size-local",
    "data-parallel-rank",
    "data-parallel-start-rank",
    "data-parallel-address",
    "data-parallel-rpc-port",
    "data-parallel-backend",
    "data-parallel-external-lb",
    "data-parallel-hybrid-lb",
    "data-parallel-multi-port-external-lb",
    "data-parallel-supervisor-port",
)

VLLM_FLAGS: Final = {
    "model": "use model.uri",
    "revision": "use model.revision",
    "hf-token": "use model.secretRef",
    "served-model-name": "use model.servedName",
    "runner": "use model.task",
    "convert": "use model.task",
    "dtype": "use engine.dtype",
    "quantization": "use engine.quantization",
    "kv-cache-dtype": "use engine.kvCacheDtype",
    "max-model-len": "use engine.maxModelLen",
    "max-num-seqs": "use engine.maxNumSeqs",
    "gpu-memory-utilization": "use engine.gpuMemoryUtilization",
    "device-memory-utilization": "use engine.gpuMemoryUtilization",
    "tensor-parallel-size": "use parallelism.tensor",
    "pipeline-parallel-size": "use parallelism.pipeline",
    **dict.fromkeys(DATA_PARALLEL, ONE_SERVER),
    "api-server-count": ONE_SERVER,
    "nnodes": "use nodes",
    "node-rank": OURS,
    "master-addr": OURS,
    "master-port": OURS,
    "headless": OURS,
    "enable-lora": "use adapters",
    "lora-modules": "use adapters",
    "max-lora-rank": "use adapters, each with its rank",
    "shutdown-timeout": "use health.drainTimeout",
    "host": OURS,
    "port": OURS,
    "uds": OURS,
    "root-path": OURS,
    "middleware": OURS,
    "ssl-keyfile": TLS,
    "ssl-certfile": TLS,
    "api-key": "use engine.env with VLLM_API_KEY from a Secret",
    "config": "use engine.args, as a file could set anything unseen",
    "disable-log-stats": "leave it out, as the watchdog reads these figures",
}
"""vLLM 0.32 (`vllm serve --help=all`), long names without dashes."""

VLLM_SHORT: Final = ("tp", "pp", "dp[a-z]?", "asc", "q", "r", "n")
"""One-dash forms of the flags above, patterns of RE2: `-tp 4`, `-tp=4`, `-tp4`."""

OPEN_TOOLS = "leave it out, as it lets every client use the files and the network of the pod"

LLAMACPP_FLAGS: Final = {
    "model": "use model.uri",
    "model-url": "use model.uri",
    "hf-repo": "use model.uri",
    "hf-file": "use model.uri",
    "hf-token": "use model.uri",
    "docker-repo": "use model.uri",
    "models-dir": "use model.uri, one ModelDeployment for each model",
    "models-preset": "use model.uri, one ModelDeployment for each model",
    "alias": "use model.servedName",
    "embedding": "use model.task",
    "embeddings": "use model.task",
    "rerank": "use model.task",
    "reranking": "use model.task",
    "ctx-size": "use engine.maxModelLen",
    "parallel": "use engine.maxNumSeqs",
    "threads": "use engine.threads",
    "host": OURS,
    "port": OURS,
    "api-prefix": OURS,
    "metrics": OURS,
    "props": "leave it out, as it lets every client change the settings of all",
    "agent": OPEN_TOOLS,
    "tools": OPEN_TOOLS,
    "tools-runtime": OPEN_TOOLS,
    "mcp-servers-config": OPEN_TOOLS,
    "mcp-servers-json": OPEN_TOOLS,
    "ui-mcp-proxy": OPEN_TOOLS,
    "webui-mcp-proxy": OPEN_TOOLS,
    "ssl-key-file": TLS,
    "ssl-cert-file": TLS,
    "api-key": "use engine.env with LLAMA_API_KEY from a Secret",
    "api-key-file": "use engine.env with LLAMA_API_KEY from a Secret",
}
"""llama-server of llama.cpp 0.7 (`llama-server --help`), long names without dashes."""

LLAMACPP_SHORT: Final = ("m", "mu", "dr", "ag", "hf", "hfr", "hff", "hft", "a", "c", "np", "t")

CACHES = ("HOME", "XDG_CACHE_HOME", "HF_HOME", "VLLM_CACHE_ROOT", "VLLM_CONFIG_ROOT", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")

VARIABLES: Final = {
    "VLLM_SERVER_DEV_MODE": "leave it out, as it lets every client stop or replace the model",
    "VLLM_KEEP_ALIVE_ON_ENGINE_DEATH": "leave it out, as a dead engine has to end to be restarted",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "use adapters",
    "VLLM_LORA_RESOLVER_CACHE_DIR": "use adapters, as it lets every client load files of the pod",
    "VLLM_LORA_RESOLVER_HF_REPO_LIST": "use adapters, as it lets every client make the pod download",
    "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": "use health.hangTimeout",
    "VLLM_ENGINE_READY_TIMEOUT_S": "use health.startupTimeout",
    "VLLM_HOST_IP": OURS,
    "VLLM_PORT": OURS,
    "PYTHONPATH": OURS,
    **dict.fromkeys(CACHES, "the operator sets it to a volume, as the image cannot be written to"),
    "USER": OURS,
    "VLLM_NO_USAGE_STATS": "the operator sets it, so that nothing is told to anybody outside",
    "DO_NOT_TRACK": "the operator sets it, so that nothing is told to anybody outside",
    "HF_HUB_OFFLINE": "it follows from model.uri",
    "TRANSFORMERS_OFFLINE": "it follows from model.uri",
    "HF_TOKEN": "use model.secretRef",
}
PREFIXES: Final = {
    "ALLOD_": OURS,
    "LLAMA_ARG_": "use engine.args",
}


def raw_flag(flags: dict[str, str], short: tuple[str, ...]) -> str:
    """A pattern of RE2 for arguments as they are: vLLM takes `_` for `-` inside a flag, and both engines `--flag=value`."""
    long = "|".join(re.escape(flag).replace(r"\-", "[-_]") for flag in sorted(flags))
    return rf"^(--({long})(=.*)?|-({'|'.join(short)})([0-9=].*)?)$"


def cel_map(table: dict[str, str]) -> str:
    """As a map literal of CEL. No text here has a single quote."""
    return "{" + ", ".join(f"'{key}': '{value}'" for key, value in table.items()) + "}"
