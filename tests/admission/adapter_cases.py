from __future__ import annotations

from typing import Any

from admission.case import Case, llamacpp, named, vllm


def adapter(**fields: Any) -> list[dict[str, Any]]:
    return [{"name": "fraud", "uri": "pvc://adapters/fraud/v7", "rank": 16} | fields]


ADAPTER_CASES = (
    Case(
        "adapter-uri-supported",
        vllm(adapters=adapter(uri="file:///srv/adapters/fraud")),
        vllm(adapters=adapter(uri="s3://models/adapters/fraud/v7")),
        "spec.adapters[0].uri",
        "adapters[].uri s3:// is not supported: put the adapter on a volume (pvc://claim/path) or into a folder of the node"
        " (file:///folder/adapter)",
    ),
    Case(
        "adapter-uri-pvc",
        vllm(adapters=adapter(uri="pvc://adapters/fraud")),
        vllm(adapters=adapter(uri="pvc://adapters")),
        "spec.adapters[0].uri",
        "adapters[].uri pvc:// names a PersistentVolumeClaim and the adapter's folder in it: pvc://adapters/fraud/v7",
    ),
    Case(
        "adapter-uri-file",
        vllm(adapters=adapter(uri="file:///adapters/fraud")),
        vllm(adapters=adapter(uri="file:///fraud")),
        "spec.adapters[0].uri",
        "adapters[].uri file:// has three slashes, a folder of the node and the adapter's own folder in it: file:///srv/adapters/fraud-v7",
    ),
    Case(
        "adapter-uri-no-dots",
        vllm(adapters=adapter(uri="pvc://adapters/v1..2")),
        vllm(adapters=adapter(uri="pvc://adapters/../secrets")),
        "spec.adapters[0].uri",
        "adapters[].uri has . or .. in its path: write the path without them",
    ),
    Case(
        "adapters-engine",
        vllm(adapters=adapter()),
        llamacpp(adapters=adapter()),
        "spec.adapters",
        "adapters are for vLLM: LlamaCpp takes no new one without a restart, so merge the adapter into the GGUF file",
    ),
    Case(
        "adapters-task",
        vllm(model__task="Generate", adapters=adapter()),
        vllm(model__task="Embed", adapters=adapter()),
        "spec.adapters",
        "adapters are for models of the task Generate: for embeddings and reranking serve the merged model",
    ),
    Case(
        "adapter-is-served-name",
        vllm(model__servedName="qwen3", model__aliases=["qwen"], adapters=adapter(name="qwen3-fraud")),
        vllm(model__servedName="qwen3", model__aliases=["qwen"], adapters=[*adapter(), *adapter(name="qwen")]),
        "spec.adapters",
        'adapters repeats ["qwen"], by which the model itself is asked for: give the adapter another name',
    ),
    Case(
        "adapter-is-name",
        named("chat", model__servedName="qwen3", adapters=adapter(name="chat")),
        named("chat", adapters=adapter(name="chat")),
        "spec.adapters",
        "adapters repeats metadata.name, which is the served name of the model itself: give the adapter another name",
    ),
)
