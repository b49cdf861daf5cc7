from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from allod.domain.serving.model.architecture import Weights
from allod.domain.serving.model.config import architecture
from allod.domain.serving.model.demand import Demand
from allod.domain.serving.model.fit import Fit, fit, kv_bytes_per_token, loaded_bytes, tokens
from bench import gpumodels

if TYPE_CHECKING:
    from bench.gpumodels import Shape

GIB = 2**30
SMOL = {"num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 64, "hidden_size": 576}
GQA = {"num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 64, "hidden_size": 256}
MLA = {"num_hidden_layers": 4, "num_attention_heads": 8, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "hidden_size": 256}
LLAMA_70B = {"num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128, "hidden_size": 8192}
DEEPSEEK = {"num_hidden_layers": 61, "num_attention_heads": 128, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "hidden_size": 7168}
QWEN_14B = {
    "architectures": ["Qwen2ForCausalLM"],
    "num_hidden_layers": 48,
    "num_attention_heads": 40,
    "num_key_value_heads": 8,
    "hidden_size": 5120,
    "max_position_embeddings": 131072,
    "dtype": "bfloat16",
}
BF16 = {"dtype": "bfloat16"}


@dataclass(frozen=True)
class Measured:
    """A line "GPU KV cache size" of a log of vLLM 0.32 on CPU, with the settings that made it."""

    name: str
    config: dict[str, Any]
    logged: int
    kv_memory: int = GIB
    block: int = 128
    demand: Demand = field(default_factory=Demand)

    def __str__(self) -> str:
        return self.name


@pytest.mark.parametrize(
    "case",
    [
        Measured("SmolLM2 in bf16", SMOL, 46_592),
        Measured("SmolLM2 in fp32", SMOL, 23_296, demand=Demand(kv_dtype="float32")),
        Measured("SmolLM2 in fp32 over three tensor ranks", SMOL, 69_888, demand=Demand(kv_dtype="float32", tensor=3)),
        Measured("SmolLM2 in fp32 over two pipeline stages", SMOL, 46_592, demand=Demand(kv_dtype="float32", pipeline=2)),
        Measured("grouped queries over two ranks", GQA, 1_048_576, demand=Demand(tensor=2)),
        Measured("two KV heads over four ranks are held twice", GQA, 1_048_576, demand=Demand(tensor=4)),
        Measured("grouped queries with an fp8 cache", GQA, 1_048_576, demand=Demand(kv_dtype="fp8")),
        Measured("grouped queries with 64 MiB", GQA, 32_768, kv_memory=64 * 2**20),
        Measured("latent attention", MLA, 233_008, block=16),
    ],
    ids=str,
)
def test_the_kv_cache_has_the_size_that_vllm_logged(case: Measured) -> None:
    per_token = kv_bytes_per_token(architecture(case.config | BF16), case.demand)
    assert per_token is not None
    assert tokens(case.kv_memory, per_token, case.block) == case.logged


@pytest.mark.parametrize(
    ("config", "demand", "expected"),
    [
        (DEEPSEEK, Demand(tensor=8), 70_272),
        (DEEPSEEK, Demand(tensor=1), 70_272),
        (LLAMA_70B, Demand(), 327_680),
        (LLAMA_70B, Demand(tensor=4), 81_920),
    ],
)
def test_latent_attention_is_not_divided_by_tensor_and_grouped_queries_are(config: dict[str, Any], demand: Demand, expected: int) -> None:
    assert kv_bytes_per_token(architecture(config | BF16), demand) == expected


@dataclass(frozen=True)
class OnGPU:
    """What vLLM 0.32 said on one NVIDIA H100 80GB HBM3, weights made up."""

    name: str
    shape: Shape
    cache: float
    """GiB, "Available KV cache memory"."""
    tokens: int
    """ "GPU KV cache size"."""
    loaded: float
    """GiB, "Model loading took"."""
    demand: Demand = field(default_factory=Demand)

    def __str__(self) -> str:
        return self.name


ON_GPU = [
    OnGPU("Qwen3-8B", gpumodels.QWEN3_8B, 54.49, 396_768, 15.27),
    OnGPU("Qwen3-8B with an fp8 cache", gpumodels.QWEN3_8B, 55.87, 813_600, 15.27, Demand(kv_dtype="fp8")),
    OnGPU("Qwen3-32B", gpumodels.QWEN3_32B, 7.14, 29_248, 61.03),
    OnGPU("Qwen3-32B in fp8", gpumodels.QWEN3_32B, 38.26, 156_720, 32.03, Demand(quantization="fp8")),
    OnGPU("Llama-3.1-8B", gpumodels.LLAMA_8B, 55.05, 450_976, 15.0),
    OnGPU("DeepSeek-V2-Lite, latent attention", gpumodels.DEEPSEEK_V2_LITE, 40.16, 1_386_480, 29.32),
]


@pytest.mark.parametrize("case", ON_GPU, ids=str)
def test_the_kv_cache_on_a_gpu_has_the_size_that_vllm_logged(case: OnGPU) -> None:
    per_token = kv_bytes_per_token(case.shape.architecture, case.demand)
    assert per_token is not None
    least, most = (tokens(int((case.cache + rounded) * GIB), per_token, 16) for rounded in (-0.005, 0.005))
    assert least <= case.tokens <= most


@pytest.mark.parametrize("case", ON_GPU, ids=str)
def test_weights_on_a_gpu_are_reckoned_a_little_heavier_than_vllm_loads_them(case: OnGPU) -> None:
    found = loaded_bytes(case.shape.architecture, case.shape.weights, case.demand) / GIB
    assert case.loaded < found < case.loaded * 1.025


def judge(config: dict[str, Any], gigabytes: float, **asked: Any) -> Fit:
    stored = int(gigabytes * GIB)
    return fit(architecture(config), Weights(stored, stored // 2, stored // 2, stored), Demand(**asked))


GPU_80 = {"gpu_memory": 80 * GIB, "max_model_len": 16384}


@dataclass(frozen=True)
class Judged:
    name: str
    verdict: str
    reason: str
    message: str
    config: dict[str, Any]
    gigabytes: float
    asked: dict[str, Any]

    def __str__(self) -> str:
        return self.name


@pytest.mark.parametrize(
    "case",
    [
        Judged(
            "a 14B model on one large GPU",
            "Fits",
            "Fits",
            "weights 28.6 GiB + overhead 3.7 GiB + KV cache 3.0 GiB for 16384 tokens = 35.3 GiB of 80.0 GiB x 0.92 = 73.6 GiB of each GPU",
            QWEN_14B,
            28,
            GPU_80,
        ),
        Judged(
            "weights that one small GPU cannot hold",
            "Misfit",
            "DoesNotFit",
            "weights 28.6 GiB + overhead 3.7 GiB do not fit 24.0 GiB x 0.85 = 20.4 GiB of each GPU; it needs 2 "
            "GPUs or a quantized checkpoint",
            QWEN_14B,
            28,
            {"gpu_memory": 24 * GIB, "utilization": Fraction("0.85")},
        ),
        Judged(
            "weights that no number of such GPUs holds",
            "Misfit",
            "DoesNotFit",
            "weights 1428.0 GiB + overhead 73.7 GiB do not fit 1.0 GiB x 0.92 = 942 MiB of each GPU; it needs "
            "larger GPUs or a quantized checkpoint",
            QWEN_14B,
            1400,
            {"gpu_memory": GIB},
        ),
        Judged(
            "a context that is too long for what is left",
            "Misfit",
            "DoesNotFit",
            "weights 28.6 GiB + overhead 3.7 GiB + KV cache 24.0 GiB for 131072 tokens = 56.3 GiB of 48.0 GiB x 0.92 = 44.2 GiB "
            "of each GPU; "
            "engine.maxModelLen 64832 would fit",
            QWEN_14B,
            28,
            {"gpu_memory": 48 * GIB},
        ),
        Judged(
            "a need within a tenth of the limit",
            "Tight",
            "NearTheLimit",
            "weights 28.6 GiB + overhead 3.7 GiB + KV cache 11.0 GiB for 60000 tokens = 43.3 GiB of 48.0 GiB x 0.92 = 44.2 GiB "
            "of each GPU: "
            "near the limit, the engine may refuse it",
            QWEN_14B,
            28,
            {"gpu_memory": 48 * GIB, "max_model_len": 60_000},
        ),
        Judged(
            "heads that cannot be divided",
            "Misfit",
            "HeadsNotDivisible",
            "9 attention heads cannot be divided among parallelism.tensor 2; possible are 1, 3, 9",
            SMOL,
            0.25,
            {"tensor": 2},
        ),
        Judged(
            "more pipeline stages than layers",
            "Misfit",
            "TooFewLayers",
            "parallelism.pipeline 5 is more than the model's 4 layers",
            GQA,
            0.25,
            {"pipeline": 5},
        ),
        Judged(
            "GPUs whose memory nobody named",
            "Unknown",
            "MemoryNotGiven",
            "resources.gpu.memory is not given, so it is left to the engine to find out whether the model fits",
            QWEN_14B,
            28,
            {},
        ),
        Judged(
            "weights that nobody has seen",
            "Unknown",
            "WeightsUnknown",
            "the size of the weights is not known before they are there",
            QWEN_14B,
            0,
            GPU_80,
        ),
        Judged(
            "a sliding window",
            "Unknown",
            "KVCacheUnknown",
            "the weights fit; the KV cache cannot be reckoned beforehand, for Qwen2ForCausalLM has sliding-window attention",
            QWEN_14B | {"sliding_window": 4096},
            28,
            GPU_80,
        ),
        Judged(
            "a cache of a type without a table",
            "Unknown",
            "KVCacheUnknown",
            "the weights fit; the KV cache cannot be reckoned beforehand, for the KV cache has the type nvfp4",
            QWEN_14B,
            28,
            GPU_80 | {"kv_dtype": "nvfp4"},
        ),
        Judged(
            "an embedding model",
            "Unknown",
            "KVCacheUnknown",
            "the weights fit; the memory of requests depends on their length and is left to the engine",
            QWEN_14B,
            28,
            GPU_80 | {"generates": False},
        ),
        Judged(
            "a model and a spec that name no length",
            "Unknown",
            "LengthUnknown",
            "neither engine.maxModelLen nor the model says how long a request may be",
            SMOL,
            0.25,
            {"gpu_memory": 80 * GIB},
        ),
        Judged(
            "a CPU engine with a small cache",
            "Misfit",
            "DoesNotFit",
            "65536 tokens need 1.4 GiB of KV cache, and 1.0 GiB are set aside for it; engine.maxModelLen 46592 would fit",
            SMOL | BF16,
            0.25,
            {"on_gpu": False, "host_memory": 8 * GIB, "kv_memory": GIB, "max_model_len": 65_536},
        ),
        Judged(
            "a CPU engine with too little memory",
            "Misfit",
            "DoesNotFit",
            "weights 28.6 GiB + overhead 2.1 GiB do not fit 4.0 GiB of the pod's memory; resources.memory has to be more than 30.7 GiB",
            QWEN_14B,
            28,
            {"on_gpu": False, "host_memory": 4 * GIB, "kv_memory": GIB},
        ),
        Judged(
            "three CPU ranks share the pod's memory",
            "Fits",
            "Fits",
            "weights 174 MiB + overhead 1.3 GiB + KV cache 512 MiB for 2048 tokens = 2.0 GiB of 2.7 GiB of the pod's memory for each rank",
            SMOL | BF16,
            0.25,
            {"on_gpu": False, "host_memory": 8 * GIB, "kv_memory": GIB // 2, "max_model_len": 2048, "tensor": 3, "dtype": "float32"},
        ),
        Judged(
            "a GGUF file with four slots",
            "Fits",
            "Fits",
            "weights 95 MiB + overhead 133 MiB + KV cache 180 MiB for 8192 tokens = 408 MiB of 1.0 GiB of the pod's memory",
            SMOL,
            0.0909,
            {"engine": "LlamaCpp", "on_gpu": False, "host_memory": GIB, "max_model_len": 2048, "max_num_seqs": 4},
        ),
        Judged(
            "a GPU whose cache leaves no room at all",
            "Misfit",
            "DoesNotFit",
            "1024 tokens need 192 MiB of KV cache, and 1 MiB are set aside for it; no engine.maxModelLen would fit",
            QWEN_14B,
            28,
            {"gpu_memory": 80 * GIB, "kv_memory": 2**20, "max_model_len": 1024},
        ),
    ],
    ids=str,
)
def test_a_model_is_judged_in_one_sentence_with_the_numbers(case: Judged) -> None:
    found = judge(case.config, case.gigabytes, **case.asked)
    assert (found.verdict, found.reason, found.message) == (case.verdict, case.reason, case.message)


def test_the_longest_length_that_is_named_really_fits() -> None:
    refused = judge(QWEN_14B, 28, gpu_memory=48 * GIB)
    longest = int(refused.message.split("engine.maxModelLen ")[1].split()[0])
    assert judge(QWEN_14B, 28, gpu_memory=48 * GIB, max_model_len=longest).verdict == "Tight"


@pytest.mark.parametrize(
    ("config", "asked", "expected"),
    [
        ({"dtype": "bfloat16"}, {}, 200),
        ({"dtype": "float32"}, {}, 200),
        ({"dtype": "bfloat16"}, {"dtype": "float32"}, 400),
        ({"dtype": "bfloat16"}, {"quantization": "fp8"}, 100),
        ({"dtype": "bfloat16", "quantization_config": {"quant_method": "awq"}}, {"dtype": "float32"}, 200),
        ({"dtype": "bfloat16"}, {"engine": "LlamaCpp", "dtype": "float32"}, 200),
    ],
)
def test_weights_take_the_memory_of_the_type_that_they_are_served_in(config: dict[str, Any], asked: dict[str, Any], expected: int) -> None:
    weights = Weights(200_000, 100_000, 100_000, 200_000)
    assert loaded_bytes(architecture(SMOL | config), weights, Demand(**asked)) == int(expected * 1000 * 1.02)


@pytest.mark.parametrize(("tied", "expected"), [(True, 110), (False, 120), (None, 120)])
def test_quantization_while_loading_leaves_embeddings_as_they_are(tied: bool | None, expected: int) -> None:  # noqa: FBT001 - a field of config.json
    config = SMOL | BF16 | {"hidden_size": 100, "vocab_size": 100, "tie_word_embeddings": tied}
    weights = Weights(200_000, 100_000, 100_000, 200_000)
    assert loaded_bytes(architecture(config), weights, Demand(quantization="fp8")) == int(expected * 1000 * 1.02)


def test_a_fixed_cache_counts_as_a_whole_against_the_limit() -> None:
    asked = Demand(gpu_memory=80 * GIB, kv_memory=60 * GIB, max_model_len=1024)
    found = fit(architecture(QWEN_14B), Weights(28 * GIB, None), asked)
    assert found.verdict == "Misfit"
    assert fit(architecture(QWEN_14B), Weights(28 * GIB, None), replace(asked, kv_memory=GIB)).verdict == "Fits"


def test_on_cpus_each_pod_of_a_replica_has_its_memory_to_itself() -> None:
    """Three ranks in one pod share its memory; in three pods each has as much, and one of them carries the API server too."""
    config = SMOL | {"dtype": "float32"}
    asked = {"on_gpu": False, "tensor": 3, "dtype": "float32", "host_memory": 3 * GIB, "kv_memory": GIB, "max_model_len": 1024}
    crowded, spread = judge(config, 0.5, **asked), judge(config, 0.5, **asked, nodes=3)
    assert (crowded.verdict, spread.verdict) == ("Misfit", "Misfit")
    assert "1.0 GiB of the pod's memory for each rank" in crowded.message
    assert "3.0 GiB of the pod's memory" in spread.message
    assert "for each rank" not in spread.message
    assert judge(config, 0.5, **asked | {"host_memory": 4 * GIB}, nodes=3).verdict == "Fits"
