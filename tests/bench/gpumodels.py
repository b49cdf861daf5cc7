"""Shapes of published models, for an engine that needs no more than config.json: `--load-format dummy` makes up the weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from allod.domain.serving.model.architecture import Weights
from allod.domain.serving.model.config import architecture

if TYPE_CHECKING:
    from pathlib import Path

    from allod.domain.serving.model.architecture import Architecture


@dataclass(frozen=True, slots=True)
class Shape:
    """One model."""

    name: str
    parameters: int
    """Of the checkpoint as it is published."""
    config: dict[str, Any]
    stored: int | None = None
    """Bytes of a checkpoint that is quantized. None: two for each parameter."""

    @property
    def architecture(self) -> Architecture:
        return architecture(self.config)

    @property
    def weights(self) -> Weights:
        """What inspecting the checkpoint would find."""
        if self.stored:
            return Weights(self.stored, self.parameters)
        return Weights(2 * self.parameters, self.parameters, self.parameters, 2 * self.parameters)

    def write(self, folder: Path) -> Path:
        """Config and a tokenizer that knows a word for each number: t0, t1, ..."""
        path = folder / self.name
        path.mkdir(parents=True, exist_ok=True)
        vocabulary = {f"t{number}": number for number in range(self.config["vocab_size"])}
        words = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "t0"}
        tokenizer = {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "model": words}
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "t0", "eos_token": "t1"}
        files = {"config.json": self.config, "tokenizer.json": tokenizer, "tokenizer_config.json": settings}
        for name, document in files.items():
            (path / name).write_text(json.dumps(document))
        return path


DENSE = {
    "dtype": "bfloat16",
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 1,
}

QWEN3_8B = Shape(
    "Qwen3-8B",
    8_190_735_360,
    DENSE
    | {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "hidden_size": 4096,
        "intermediate_size": 12288,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151936,
        "max_position_embeddings": 40960,
        "rope_theta": 1000000,
        "attention_bias": False,
    },
)
QWEN3_32B = Shape(
    "Qwen3-32B",
    32_762_123_264,
    QWEN3_8B.config | {"hidden_size": 5120, "intermediate_size": 25600, "num_hidden_layers": 64, "num_attention_heads": 64},
)
QWEN25_72B = Shape(
    "Qwen2.5-72B",
    72_706_203_648,
    DENSE
    | {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": 8192,
        "intermediate_size": 29568,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "vocab_size": 152064,
        "max_position_embeddings": 32768,
        "rope_theta": 1000000,
    },
)
LLAMA_8B = Shape(
    "Llama-3.1-8B",
    8_030_261_248,
    DENSE
    | {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "max_position_embeddings": 131072,
        "rope_theta": 500000,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    },
)
DEEPSEEK_V2_LITE = Shape(
    "DeepSeek-V2-Lite",
    15_706_484_224,
    DENSE
    | {
        "architectures": ["DeepseekV2ForCausalLM"],
        "model_type": "deepseek_v2",
        "hidden_size": 2048,
        "intermediate_size": 10944,
        "moe_intermediate_size": 1408,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "n_routed_experts": 64,
        "n_shared_experts": 2,
        "num_experts_per_tok": 6,
        "first_k_dense_replace": 1,
        "moe_layer_freq": 1,
        "kv_lora_rank": 512,
        "q_lora_rank": None,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
        "n_group": 1,
        "topk_group": 1,
        "topk_method": "greedy",
        "norm_topk_prob": False,
        "scoring_func": "softmax",
        "routed_scaling_factor": 1.0,
        "vocab_size": 102400,
        "max_position_embeddings": 163840,
        "rope_theta": 10000,
        "rope_scaling": {
            "type": "yarn",
            "factor": 40,
            "beta_fast": 32,
            "beta_slow": 1,
            "mscale": 0.707,
            "mscale_all_dim": 0.707,
            "original_max_position_embeddings": 4096,
        },
    },
)
GEMMA2_9B = Shape(
    "gemma-2-9b",
    9_241_705_984,
    {
        "architectures": ["Gemma2ForCausalLM"],
        "model_type": "gemma2",
        "dtype": "bfloat16",
        "hidden_size": 3584,
        "intermediate_size": 14336,
        "num_hidden_layers": 42,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 256,
        "vocab_size": 256000,
        "max_position_embeddings": 8192,
        "sliding_window": 4096,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
        "query_pre_attn_scalar": 256,
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "bos_token_id": 2,
        "eos_token_id": 1,
    },
)
GPT_OSS_20B = Shape(
    "gpt-oss-20b",
    20_914_757_184,
    {
        "architectures": ["GptOssForCausalLM"],
        "model_type": "gpt_oss",
        "dtype": "bfloat16",
        "hidden_size": 2880,
        "intermediate_size": 2880,
        "num_hidden_layers": 24,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "vocab_size": 201088,
        "max_position_embeddings": 131072,
        "initial_context_length": 4096,
        "sliding_window": 128,
        "layer_types": ["sliding_attention", "full_attention"] * 12,
        "num_local_experts": 32,
        "num_experts_per_tok": 4,
        "experts_per_token": 4,
        "attention_bias": True,
        "hidden_act": "silu",
        "swiglu_limit": 7.0,
        "rms_norm_eps": 1e-5,
        "rope_theta": 150000,
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": 32.0,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "truncate": False,
            "original_max_position_embeddings": 4096,
        },
        "tie_word_embeddings": False,
        "eos_token_id": 1,
        "quantization_config": {
            "quant_method": "mxfp4",
            "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"],
        },
    },
    stored=13_761_264_768,
)
