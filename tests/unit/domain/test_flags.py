from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from allod.api.modeldeployment import ModelDeploymentSpec
from allod.domain.serving.engine import flags
from allod.domain.serving.engine.images import engine_image, minor_version
from unit.domain.simulation import DEFAULTS, SPEC


def spec(**engine: Any) -> ModelDeploymentSpec:
    return ModelDeploymentSpec.model_validate(SPEC | {"engine": {"type": "vLLM"} | engine})


def test_the_table_holds_the_flags_of_the_parser_of_vllm() -> None:
    known = flags.table("0.32")
    assert known is not None
    assert {"tensor-parallel-size", "tp", "no-enable-prefix-caching", "max-model-len", "shutdown-timeout", "hf-token"} <= known
    assert not known & flags.REMOVED.keys()


def test_what_stands_in_for_a_removed_flag_exists() -> None:
    known = flags.table("0.32") or frozenset()
    named = {word.split(".")[0] for says in flags.REMOVED.values() for word in says.replace(",", "").split() if "-" in word}
    assert {name for name in named if name.endswith(("-config", "-overrides", "-parser", "-requests"))} <= known


@pytest.mark.parametrize(
    "engine",
    [
        {"args": {"enable-prefix-caching": "true"}},
        {"args": {"enable-prefix-caching": "false"}},
        {"args": {"reasoning_parser": "deepseek_r1"}},
        {"args": {"compilation-config.mode": "3"}},
        {"extraArgs": ["--lora-modules", "a=/x", "b=/y", "-O3", "-1"]},
        {"extraArgs": ["--hf-overrides.rope_parameters+={}"]},
        {"args": {"swap-space": "4"}, "image": "registry.test/vllm:nightly"},
        {"args": {"swap-space": "4"}, "image": "registry.test/vllm:v0.99.0"},
        {"args": {"whatever": "4"}, "type": "LlamaCpp"},
    ],
    ids=str,
)
def test_a_known_flag_and_an_unknown_version_raise_no_complaint(engine: dict[str, Any]) -> None:
    assert flags.unknown(spec(**engine), DEFAULTS) == ()


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ({"args": {"max-batch-size": "8"}}, "engine.args: max-batch-size is unknown to vLLM 0.32"),
        ({"args": {"aggregate-engine-logging": "false"}}, "engine.args: no-aggregate-engine-logging is unknown to vLLM 0.32"),
        ({"extraArgs": ["--rope_scaling={}"]}, "engine.extraArgs: rope-scaling is unknown to vLLM 0.32: use hf-overrides"),
        ({"args": {"max-loggprobs": "8"}}, "engine.args: max-loggprobs is unknown to vLLM 0.32: max-logprobs is known"),
        ({"extraArgs": ["-zz"]}, "engine.extraArgs: zz is unknown to vLLM 0.32"),
        ({"args": {"max-num": "1"}}, "engine.args: max-num is short for max-num-seqs: use engine.maxNumSeqs"),
        ({"args": {"enable-prefix": "true"}}, "engine.args: enable-prefix is unknown to vLLM 0.32: write enable-prefix-caching in full"),
        ({"args": {"api-ke": "x"}}, "engine.args: api-ke is short for api-key: use engine.env with VLLM_API_KEY from a Secret"),
        ({"extraArgs": ["--max-model-l=9"]}, "engine.extraArgs: max-model-l is short for max-model-len: use engine.maxModelLen"),
        (
            {"args": {"tensor_parallel_s": "4"}, "image": "mine:1"},
            "engine.args: tensor-parallel-s is short for tensor-parallel-size: use parallelism.tensor",
        ),
        ({"extraArgs": ["--hf-tok", "9"], "image": "mine:1"}, "engine.extraArgs: hf-tok is short for hf-token: use model.secretRef"),
    ],
)
def test_an_unknown_flag_is_named_with_what_stands_in_for_it(engine: dict[str, Any], says: str) -> None:
    assert flags.unknown(spec(**engine), DEFAULTS) == (says,)


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("docker.io/vllm/vllm-openai:v0.32.0", "0.32"),
        ("registry.corp:5000/vllm/vllm-openai-cpu:v0.31.0-x86_64", "0.31"),
        ("vllm:0.32", "0.32"),
        ("vllm:v0.32.0rc1", "0.32"),
        ("vllm:v0.32.0+cu129", "0.32"),
        ("vllm:v0.32.1@sha256:" + "a" * 64, "0.32"),
        ("allod.test/vllm-cpu:dev", None),
        ("registry.corp:5000/vllm", None),
        ("vllm@sha256:" + "a" * 64, None),
    ],
)
def test_the_version_is_what_the_tag_says(image: str, version: str | None) -> None:
    assert minor_version(image) == version


@pytest.mark.parametrize(
    ("change", "image"),
    [
        ({}, DEFAULTS.vllm_image),
        ({"resources": {"memory": "8Gi"}}, DEFAULTS.vllm_cpu_image),
        ({"engine": {"type": "LlamaCpp"}, "resources": {"memory": "8Gi"}}, DEFAULTS.llamacpp_image),
        ({"engine": {"type": "vLLM", "image": "mine:1"}}, "mine:1"),
    ],
)
def test_the_image_is_the_specs_or_the_default_of_its_type(change: dict[str, Any], image: str) -> None:
    assert engine_image(ModelDeploymentSpec.model_validate(SPEC | change), replace(DEFAULTS)) == image
