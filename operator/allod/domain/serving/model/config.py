"""Hugging Face's config.json: which numbers decide about memory, and which models have no single formula."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from allod.domain.serving.model.architecture import Architecture, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LARGEST_BYTES = 4 * 2**20
"""DeepSeek-V3's, one of the longest, has 2 KiB; vision models with label lists reach 100 KiB."""
LARGEST_NUMBER = 2**24
"""No count of layers, heads or context tokens comes near."""

Config = dict[str, Any]


def parse(raw: bytes, name: str = "config.json", largest: int = LARGEST_BYTES) -> Config:
    """JSON to a mapping. Raises UnreadableError: a sentence that names the file."""
    if len(raw) > largest:
        raise UnreadableError(f"{name} has more than {largest // 2**20} MiB: it is no file of that name")
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{name} is not JSON: {str(error)[:120]}") from error
    if not isinstance(document, dict):
        raise UnreadableError(f"{name} is not a JSON object")
    return document


def architecture(config: Mapping[str, Any]) -> Architecture:
    """The shape that config.json describes. Raises UnreadableError when a number is missing or absurd."""
    text = config.get("text_config")
    text = text if isinstance(text, dict) else config
    heads = _count(text, "num_attention_heads", "n_head", "n_heads")
    kv_heads = _count(text, "num_key_value_heads", default=heads)
    hidden = _count(text, "hidden_size", "n_embd", "d_model", default=heads)
    rank = text.get("kv_lora_rank")
    experts = _said(text, "num_local_experts", "num_experts", "n_routed_experts")
    quantization = config.get("quantization_config")
    quantization = quantization if isinstance(quantization, dict) else {}
    return Architecture(
        name=_name(config),
        layers=_count(text, "num_hidden_layers", "n_layer", "n_layers"),
        attention_heads=heads,
        kv_heads=kv_heads,
        head_dim=_count(text, "head_dim", default=max(1, hidden // heads)),
        latent=_count(text, "kv_lora_rank") + _count(text, "qk_rope_head_dim") if rank else None,
        context=_count(text, "max_position_embeddings", "n_positions", "max_sequence_length", default=0) or None,
        dtype=_dtype(text, config),
        quantization=str(quantization["quant_method"])[:40] if quantization.get("quant_method") else None,
        kv_dtype="fp8" if quantization.get("kv_cache_scheme") or quantization.get("kv_cache_quant_algo") else None,
        embeddings=_embeddings(text, hidden),
        hidden=hidden,
        vocabulary=_said(text, "vocab_size"),
        width=_said(text, *(("moe_intermediate_size",) if experts else ()), "intermediate_size", "n_inner", "ffn_dim"),
        experts=experts,
        irregular=next((sentence for sentence, found in IRREGULAR.items() if found(text)), None),
    )


def _embeddings(text: Mapping[str, Any], hidden: int) -> int:
    """Without a word about it they are reckoned apart from the output layer: rather too heavy than too light."""
    return _said(text, "vocab_size") * hidden * (1 if text.get("tie_word_embeddings") else 2)


def _said(config: Mapping[str, Any], *names: str) -> int:
    """The first of these that is a number; 0 without one: nothing is refused for it."""
    written = (config.get(name) for name in names)
    return next((value for value in written if type(value) is int and 0 < value <= LARGEST_NUMBER), 0)


def _name(config: Mapping[str, Any]) -> str:
    names = config.get("architectures")
    name = names[0] if isinstance(names, list) and names else config.get("model_type")
    return str(name or "unnamed architecture")[:80]


def _dtype(text: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    for written in (text.get("dtype"), text.get("torch_dtype"), config.get("dtype"), config.get("torch_dtype")):
        if isinstance(written, str):
            return written.removeprefix("torch.")
    return "float32"  # transformers' own meaning of an absent dtype


def _count(config: Mapping[str, Any], *names: str, default: int | None = None) -> int:
    for name in names:
        value = config.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LARGEST_NUMBER:
            if isinstance(value, list):
                return default or 1  # one value per layer: such a model is irregular, and this number is never computed with
            raise UnreadableError(f"config.json: {name} is {str(value)[:40]!r}, and no model has that")
        return value
    if default is None:
        raise UnreadableError(f"config.json has no {names[0]}: it does not describe a model that can be checked")
    return default


def _per_layer(text: Mapping[str, Any]) -> bool:
    return bool(text.get("block_configs")) or any(isinstance(text.get(key), list) for key in ("num_attention_heads", "num_key_value_heads"))


def _state_space(text: Mapping[str, Any]) -> bool:
    keys = ("ssm_cfg", "state_size", "ssm_state_size", "mamba_d_state", "mamba_num_heads", "hybrid_override_pattern", "layers_block_type")
    return any(text.get(key) for key in (*keys, "attn_layer_period", "rescale_every"))


def _linear_attention(text: Mapping[str, Any]) -> bool:
    return bool(text.get("full_attention_interval") or text.get("linear_num_key_heads") or "linear_attention" in _layer_types(text))


def _sparse_attention(text: Mapping[str, Any]) -> bool:
    return bool(text.get("index_topk") or text.get("compress_ratios"))


def _sliding_window(text: Mapping[str, Any]) -> bool:
    if any(kind != "full_attention" for kind in _layer_types(text)) or text.get("attention_chunk_size"):
        return True
    window, context = text.get("sliding_window"), text.get("max_position_embeddings")
    if not window or text.get("use_sliding_window") is False or text.get("layer_types"):
        return False
    return not (isinstance(window, int) and isinstance(context, int) and window >= context)


def _shared_layers(text: Mapping[str, Any]) -> bool:
    return bool(text.get("num_kv_shared_layers") or text.get("cla_share_factor"))


def _encoder_decoder(text: Mapping[str, Any]) -> bool:
    return bool(text.get("is_encoder_decoder"))


def _layer_types(text: Mapping[str, Any]) -> list[Any]:
    kinds = text.get("layer_types")
    return kinds if isinstance(kinds, list) else []


IRREGULAR: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "layers with different numbers of heads": _per_layer,
    "state-space (Mamba) or other recurrent layers": _state_space,
    "linear-attention layers": _linear_attention,
    "sparse attention with an index cache": _sparse_attention,
    "sliding-window attention": _sliding_window,
    "layers that share one KV cache": _shared_layers,
    "an encoder beside the decoder": _encoder_decoder,
}
"""What a person reads, and how it shows; the first match wins. vLLM keeps several groups of KV cache for these: no one number is right."""
