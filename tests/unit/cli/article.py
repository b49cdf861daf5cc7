"""What the tests of the commands read: a manifest that cannot run, for reasons of several kinds, and the shape of its model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "num_hidden_layers": 48,
    "num_attention_heads": 40,
    "num_key_value_heads": 8,
    "hidden_size": 5120,
    "intermediate_size": 13824,
    "vocab_size": 152064,
    "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}
ARTICLE = """\
apiVersion: v1
kind: Namespace
metadata: {name: ai}
---
apiVersion: allod.dev/v1alpha1
kind: ModelDeployment
metadata:
  name: deepseek
spec:
  model:
    uri: hf://deepseek-ai/DeepSeek-R1-Distill-Qwen-14B
  engine:
    type: vLLM
    image: vllm/vllm-openai:v0.32.0
    args:
      swap-space: "4"
  parallelism:
    tensor: 4
  resources:
    gpu: {count: 1, memory: 24Gi}
    memory: 64Gi
"""
GPU_COUNT = "parallelism.tensor 4 x parallelism.pipeline 1 needs 4 GPUs per replica, resources.gpu.count 1 gives 1"
SWAP = "engine.args: swap-space is unknown to vLLM 0.32: the engine no longer swaps to memory of the host"
HEAVY = "weights 28.1 GiB + overhead 3.7 GiB do not fit 24.0 GiB x 0.92 = 22.1 GiB of each GPU; it needs 2 GPUs or a quantized checkpoint"


def model(**spec: Any) -> dict[str, Any]:
    whole = {"model": {"uri": "pvc://m/x.gguf"}, "engine": {"type": "LlamaCpp"}, "resources": {"memory": "1Gi"}} | spec
    return {"apiVersion": "allod.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "chat"}, "spec": whole}
