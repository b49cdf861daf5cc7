"""How large a dense model is by its config.json alone, for plans that are made before any weights are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allod.domain.serving.model.architecture import Weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from allod.domain.serving.model.architecture import Architecture

SHAPES = frozenset({"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM", "Phi3ForCausalLM"})
"""Architectures of this one shape: gated MLP, grouped-query attention, norms without bias. Checked: SmolLM2-135M to the parameter."""
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


def expected(config: Mapping[str, Any], architecture: Architecture) -> Weights:
    """Reckon the weights. An unknown shape, or a quantized one, gives 0 bytes, which every judge takes for "not known"."""
    sizes = [config.get(name) for name in ("hidden_size", "intermediate_size", "vocab_size")]
    if architecture.name not in SHAPES or architecture.quantization or not all(type(size) is int and size > 0 for size in sizes):
        return Weights(0)
    hidden, inner, vocabulary = (int(size) for size in sizes if size)
    queries, keys = architecture.attention_heads * architecture.head_dim, architecture.kv_heads * architecture.head_dim
    layer = 2 * hidden * queries + 2 * hidden * keys + 3 * hidden * inner + 2 * hidden
    embeddings = vocabulary * hidden * (1 if config.get("tie_word_embeddings") else 2)
    parameters = architecture.layers * layer + embeddings + hidden
    stored = parameters * BYTES.get(architecture.dtype, 2)
    return Weights(stored, parameters, parameters, stored)
