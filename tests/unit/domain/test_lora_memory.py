"""Places for LoRA adapters against what vLLM 0.32 on CPU allocated for them: the sum of all its tensors of A and B, weights made up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from allod.domain.quantity import GIB
from allod.domain.serving.model.architecture import Weights
from allod.domain.serving.model.config import architecture
from allod.domain.serving.model.demand import Demand
from allod.domain.serving.model.fit import fit
from allod.domain.serving.model.lora import lora_bytes
from bench import gpumodels

RANK = 32
BF16 = 2
TIED = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 4,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
}
UNTIED = {
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "vocab_size": 32000,
}
QWEN3 = UNTIED | {"num_key_value_heads": 2, "head_dim": 128}
MIXTURE = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "moe_intermediate_size": 128,
    "num_experts": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "vocab_size": 32000,
}
LLAMA_8B = gpumodels.LLAMA_8B.config
MLA = LLAMA_8B | {"kv_lora_rank": 512, "qk_rope_head_dim": 64}


@dataclass(frozen=True)
class Allocated:
    """Bytes of one rank for four slots."""

    name: str
    config: dict[str, Any]
    bytes: int
    tensor: int = 1

    def __str__(self) -> str:
        return self.name


@pytest.mark.parametrize(
    "case",
    [
        Allocated("a model whose output layer is its embeddings", TIED, 35_880_960),
        Allocated("grouped queries", UNTIED, 22_937_600),
        Allocated("grouped queries over two ranks", UNTIED, 21_168_128, tensor=2),
        Allocated("heads wider than the model", QWEN3, 23_724_032),
        Allocated("two KV heads over four ranks are held twice", QWEN3, 20_578_304, tensor=4),
        Allocated("a mixture of experts", MIXTURE, 22_286_336),
    ],
    ids=str,
)
def test_places_for_adapters_take_what_vllm_allocated(case: Allocated) -> None:
    assert lora_bytes(architecture(case.config), Demand(tensor=case.tensor, lora_rank=RANK), BF16) == case.bytes


def test_without_adapters_there_are_no_places() -> None:
    assert lora_bytes(architecture(LLAMA_8B), Demand(), BF16) == 0


@pytest.mark.parametrize(("asked", "times"), [(Demand(lora_rank=RANK, lora_slots=8), 2), (Demand(lora_rank=4 * RANK), 4)])
def test_places_grow_with_their_number_and_their_rank(asked: Demand, times: int) -> None:
    few, many = (lora_bytes(architecture(LLAMA_8B), each, BF16) for each in (Demand(lora_rank=RANK), asked))
    assert many == times * few


def test_of_latent_attention_the_rest_is_counted() -> None:
    latent, grouped = (lora_bytes(architecture(config), Demand(lora_rank=RANK), BF16) for config in (MLA, LLAMA_8B))
    assert 0 < latent < grouped


def test_a_model_that_fits_by_itself_is_refused_with_more_adapters_than_have_room() -> None:
    asked = Demand(gpu_memory=24 * GIB, max_model_len=8192)
    places = replace(asked, lora_rank=256, lora_slots=8)
    alone, crowded = (fit(architecture(LLAMA_8B), Weights(15 * GIB, None), each) for each in (asked, places))
    assert alone.verdict == "Fits"
    assert (crowded.verdict, crowded.reason) == ("Misfit", "DoesNotFit")
    assert "weights 15.3 GiB + places for adapters 11.0 GiB + overhead 3.1 GiB do not fit" in crowded.message
