from __future__ import annotations

import json
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allod.domain.serving.model import config, gguf, safetensors
from allod.domain.serving.model.architecture import UnreadableError, Weights
from allod.domain.serving.model.size import expected

if TYPE_CHECKING:
    from collections.abc import Callable

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
    "max_position_embeddings": 8192,
    "torch_dtype": "bfloat16",
}


def test_a_dense_model_is_described_by_its_config() -> None:
    found = config.architecture(LLAMA)
    assert (found.name, found.layers, found.attention_heads, found.kv_heads, found.head_dim) == ("LlamaForCausalLM", 30, 9, 3, 64)
    assert (found.context, found.dtype, found.latent, found.irregular, found.quantization) == (8192, "bfloat16", None, None, None)


def test_the_parameters_of_a_dense_model_are_reckoned_to_the_last_one() -> None:
    """SmolLM2-135M has 134,515,008: counted in its safetensors file."""
    found = expected(LLAMA, config.architecture(LLAMA))
    assert found == Weights(269_030_016, 134_515_008, 134_515_008, 269_030_016)


@pytest.mark.parametrize(
    "change", [{"architectures": ["MixtralForCausalLM"]}, {"vocab_size": "many"}, {"quantization_config": {"quant_method": "awq"}}]
)
def test_the_size_of_another_shape_is_not_guessed(change: dict[str, Any]) -> None:
    assert expected(LLAMA | change, config.architecture(LLAMA | change)).stored == 0


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"kv_lora_rank": 512, "qk_rope_head_dim": 64}, "latent", 576),
        ({"head_dim": 128}, "head_dim", 128),
        ({"num_key_value_heads": None}, "kv_heads", 9),
        ({"torch_dtype": None}, "dtype", "float32"),
        ({"torch_dtype": "torch.float16"}, "dtype", "float16"),
        ({"quantization_config": {"quant_method": "fp8", "kv_cache_scheme": {"num_bits": 8}}}, "kv_dtype", "fp8"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization", "gptq"),
        ({"architectures": None, "model_type": "gpt2"}, "name", "gpt2"),
        ({"text_config": LLAMA | {"num_hidden_layers": 12}}, "layers", 12),
        ({"use_sliding_window": False, "sliding_window": 4096}, "irregular", None),
        ({"sliding_window": 8192}, "irregular", None),
        ({"layer_types": ["full_attention"] * 30, "sliding_window": 4096}, "irregular", None),
        ({"sliding_window": 4096}, "irregular", "sliding-window attention"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "irregular", "sliding-window attention"),
        ({"layer_types": ["full_attention", "linear_attention"]}, "irregular", "linear-attention layers"),
        ({"full_attention_interval": 4}, "irregular", "linear-attention layers"),
        ({"mamba_d_state": 16}, "irregular", "state-space (Mamba) or other recurrent layers"),
        ({"index_topk": 2048}, "irregular", "sparse attention with an index cache"),
        ({"num_kv_shared_layers": 10}, "irregular", "layers that share one KV cache"),
        ({"is_encoder_decoder": True}, "irregular", "an encoder beside the decoder"),
        ({"num_attention_heads": [8, 4]}, "irregular", "layers with different numbers of heads"),
        ({"num_key_value_heads": [8, 4]}, "irregular", "layers with different numbers of heads"),
    ],
)
def test_what_differs_from_a_plain_model_is_seen(change: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(config.architecture(LLAMA | change), field) == value


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"{", "config.json is not JSON"),
        (b"[1]", "config.json is not a JSON object"),
        (b"[" * 100_000, "config.json is not JSON"),
        (b" " * (4 * 2**20 + 1), "more than 4 MiB"),
        (b"\xff\xfe", "config.json is not JSON"),
        (b"{}", "config.json has no num_attention_heads"),
        (b'{"num_attention_heads": 0}', "num_attention_heads is '0', and no model has that"),
        (b'{"num_attention_heads": true}', "num_attention_heads is 'True'"),
        (b'{"num_attention_heads": 8, "hidden_size": 1e30}', "hidden_size is '1e+30'"),
        (b'{"num_attention_heads": 8, "num_hidden_layers": 99999999999}', "num_hidden_layers is '99999999999'"),
    ],
)
def test_a_hostile_or_broken_config_is_refused_in_a_sentence(raw: bytes, says: str) -> None:
    with pytest.raises(UnreadableError) as refused:
        config.architecture(config.parse(raw))
    assert says in str(refused.value)


def safetensors_file(tensors: dict[str, Any], data: int = 0) -> tuple[bytes, int]:
    header = json.dumps(tensors).encode()
    return header, 8 + len(header) + data


def test_the_header_of_safetensors_tells_parameters_and_bytes_by_type() -> None:
    tensors = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "BF16", "shape": [4, 8], "data_offsets": [0, 64]},
        "b": {"dtype": "I8", "shape": [10], "data_offsets": [64, 74]},
        "scalar": {"dtype": "F32", "shape": [], "data_offsets": [74, 78]},
    }
    header, size = safetensors_file(tensors, 78)
    assert safetensors.header_length(len(header).to_bytes(8, "little"), size) == len(header)
    assert safetensors.weights(header, size) == Weights(78, 43, 33, 68)


@pytest.mark.parametrize(
    ("prefix", "size"),
    [
        (b"", 100),
        (b"\x01", 100),
        ((200).to_bytes(8, "little"), 100),
        ((2**63).to_bytes(8, "little"), 2**40),
        ((0).to_bytes(8, "little"), 100),
    ],
)
def test_a_header_that_does_not_fit_its_file_is_refused(prefix: bytes, size: int) -> None:
    with pytest.raises(UnreadableError, match="this is no safetensors file, or a part of it is missing"):
        safetensors.header_length(prefix, size)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"a": 1}', "tensor a has no dtype"),
        (b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}', "tensor a has no dtype"),
        (b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}', "impossible shape"),
        (b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}', "does not have the size of its shape"),
        (b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}', "it lacks 8 bytes of its tensors"),
    ],
)
def test_a_hostile_or_cut_off_safetensors_file_is_refused_in_a_sentence(header: bytes, says: str) -> None:
    with pytest.raises(UnreadableError, match=says):
        safetensors.weights(header, 8 + len(header))


def test_the_index_names_each_shard_once() -> None:
    index = {"weight_map": {"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"}}
    assert safetensors.shards(index) == ("model-1.safetensors", "model-2.safetensors")


@pytest.mark.parametrize("index", [{}, {"weight_map": {}}, {"weight_map": {"a": "../../etc/passwd"}}, {"weight_map": {"a": ".."}}])
def test_an_index_that_leaves_its_folder_or_names_nothing_is_refused(index: dict[str, Any]) -> None:
    with pytest.raises(UnreadableError):
        safetensors.shards(index)


def text(words: str) -> bytes:
    raw = words.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(found: Any) -> bytes:
    match found:
        case str():
            return struct.pack("<I", 8) + text(found)
        case [str(), *_]:
            return struct.pack("<IIQ", 9, 8, len(found)) + b"".join(map(text, found))
        case list():
            return struct.pack("<IIQ", 9, 4, len(found)) + b"".join(struct.pack("<I", item) for item in found)
        case float():
            return struct.pack("<If", 6, found)
    return struct.pack("<II", 4, found)


def gguf_file(values: dict[str, Any], tensors: tuple[tuple[int, ...], ...] = (), version: int = 3) -> bytes:
    pairs = b"".join(text(key) + value(found) for key, found in values.items())
    infos = b"".join(
        text(f"t{index}") + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", 0, 0)
        for index, shape in enumerate(tensors)
    )
    return b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(values)) + pairs + infos


GGUF_LLAMA: dict[str, Any] = {
    "general.architecture": "llama",
    "general.name": "SmolLM2",
    "llama.block_count": 30,
    "llama.attention.head_count": 9,
    "llama.attention.head_count_kv": 3,
    "llama.embedding_length": 576,
    "llama.context_length": 8192,
    "llama.attention.layer_norm_rms_epsilon": 0.5,
    "tokenizer.ggml.tokens": ["a", "b", "c"] * 1000,
    "tokenizer.ggml.token_type": [1] * 3000,
}


def test_a_gguf_header_tells_shape_and_parameters() -> None:
    raw = gguf_file(GGUF_LLAMA, ((576, 49152), (576,)))
    found = gguf.read(raw + b"\0" * 1000)
    shape = gguf.architecture(found)
    assert (shape.name, shape.layers, shape.attention_heads, shape.kv_heads, shape.head_dim, shape.context) == ("llama", 30, 9, 3, 64, 8192)
    assert found.parameters == 576 * 49152 + 576
    assert found.header_bytes == len(raw)
    assert gguf.weights(found, len(raw) + 1000) == Weights(1000, found.parameters)


@pytest.mark.parametrize(
    ("change", "irregular"),
    [
        ({"llama.attention.sliding_window": 4096}, "sliding-window attention"),
        ({"llama.ssm.state_size": 16}, "state-space (Mamba) or other recurrent layers"),
        ({"llama.attention.head_count_kv": [0, 8]}, "layers with different numbers of heads"),
        ({"llama.attention.head_count_kv": [3, 3]}, None),
        ({"llama.attention.kv_lora_rank": 512, "llama.rope.dimension_count": 64}, None),
    ],
)
def test_a_gguf_model_without_one_formula_is_called_irregular(change: dict[str, Any], irregular: str | None) -> None:
    assert gguf.architecture(gguf.read(gguf_file(GGUF_LLAMA | change))).irregular == irregular


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "does not begin with GGUF"),
        (b"PK\x03\x04", "does not begin with GGUF"),
        (b"GGUF", "ends inside its own header"),
        (gguf_file({}, version=1), "it is GGUF version 1"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "no model has so many"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**60), "ends inside its own header"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<I", 77), "unknown type 77"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<IIQ", 9, 9, 5), "array of arrays"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<IIQ", 9, 4, 2**61), "ends inside its own header"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<IIQ", 9, 8, 2**61), "ends inside its own header"),
        (gguf_file({}, ((1,) * 9,)), "tensor of 9 dimensions"),
        (gguf_file({}, ((2**60,),)), "impossible shape"),
    ],
)
def test_a_hostile_or_cut_off_gguf_file_is_refused_in_a_sentence(raw: bytes, says: str) -> None:
    with pytest.raises(UnreadableError, match=says):
        gguf.read(raw)


def test_an_endless_list_of_empty_strings_ends() -> None:
    """8 bytes for each would let a small file keep the reader busy for minutes."""
    raw = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<IIQ", 9, 8, 2**40) + b"\0" * (8 * 20)
    with pytest.raises(UnreadableError):
        gguf.read(raw)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"general.architecture": ""}, "does not name an architecture"),
        ({"llama.block_count": 0}, "no sensible block_count"),
        ({"llama.attention.head_count": []}, "no sensible attention.head_count"),
    ],
)
def test_a_gguf_header_without_a_number_that_matters_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(UnreadableError, match=says):
        gguf.architecture(gguf.read(gguf_file(GGUF_LLAMA | change)))


def test_a_key_that_is_too_long_to_be_one_is_passed_over() -> None:
    found = gguf.read(gguf_file({"general.architecture": "llama", "general.note": "x" * 70_000}))
    assert found.values["general.note"] == ""


READERS: dict[str, Callable[[bytes], object]] = {
    "a GGUF file": lambda noise: gguf.architecture(gguf.read(b"GGUF" + noise)),
    "a GGUF file that begins well": lambda noise: gguf.read(gguf_file(GGUF_LLAMA)[:200] + noise),
    "a header of safetensors": lambda noise: safetensors.weights(noise, 400),
    "its length": lambda noise: safetensors.header_length(noise[:8], 400),
    "a config.json": lambda noise: config.architecture(config.parse(noise)),
}


@pytest.mark.parametrize("read", READERS.values(), ids=list(READERS))
@given(noise=st.binary(max_size=300))
def test_no_bytes_whatever_break_a_reader(read: Callable[[bytes], object], noise: bytes) -> None:
    with suppress(UnreadableError):
        read(noise)


def test_a_header_with_more_strings_than_any_vocabulary_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "MOST_STRINGS", 1000)
    with pytest.raises(UnreadableError, match="more strings than any vocabulary"):
        gguf.read(gguf_file(GGUF_LLAMA))
