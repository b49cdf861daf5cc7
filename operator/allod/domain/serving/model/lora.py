"""Memory that vLLM sets aside for LoRA adapters when it starts, whether any is loaded or none.

Every linear layer of in x out values gets, for each slot, A of rank x in and B of out x rank, and so do the embeddings and the output
layer. Tensor ranks divide one side of it alone, that which they divide of the layer; what is merged in memory (q, k, v; gate and up) has
an A for each part:

    q k v       3 A of hidden,  B of heads and 2 x KV heads, divided         gate, up    2 A of hidden,  2 B of width, divided
    o           A of heads, divided,  B of hidden                            down        A of width, divided,  B of hidden

The same for each expert of a mixture, and its router as any layer. Equal to the byte to what vLLM 0.32 allocates for four dense models
and a mixture (see the tests). Of latent attention (MLA) only the rest is counted: too little, never too much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from allod.domain.serving.model.architecture import Architecture
    from allod.domain.serving.model.demand import Demand


def lora_bytes(architecture: Architecture, demand: Demand, value: int) -> int:
    """Bytes of one rank of the engine for all slots; `value`: bytes of one number. 0 without adapters."""
    if not demand.lora_rank:
        return 0
    layers = -(-architecture.layers // demand.pipeline)  # the largest stage decides
    per_layer = _attention(architecture, demand.tensor) + _network(architecture, demand.tensor)
    return demand.lora_slots * demand.lora_rank * value * (layers * per_layer + _ends(architecture, demand))


def _attention(architecture: Architecture, tensor: int) -> int:
    """Numbers for each of the rank, of one layer."""
    if architecture.latent:
        return 0
    heads = architecture.attention_heads // tensor * architecture.head_dim
    kv_heads = max(1, architecture.kv_heads // tensor) * architecture.head_dim
    return 3 * architecture.hidden + heads + 2 * kv_heads + heads + architecture.hidden


def _network(architecture: Architecture, tensor: int) -> int:
    width = architecture.width // tensor
    one = 2 * (architecture.hidden + width) + width + architecture.hidden
    router = architecture.hidden + architecture.experts
    return architecture.experts * one + router if architecture.experts else one


def _ends(architecture: Architecture, demand: Demand) -> int:
    """Of the embeddings and of the output layer, whose vocabulary no rank divides. A pipeline has one in its first, one in its last."""
    each = architecture.vocabulary + architecture.hidden
    return each if demand.pipeline > 1 else 2 * each
