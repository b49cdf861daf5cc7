from __future__ import annotations

import re
from pathlib import Path

import pytest

from admission.case import LLAMACPP, VLLM
from allod.api.modeldeployment import ModelDeployment
from allod.api.reserved import LLAMACPP_FLAGS, LLAMACPP_SHORT, PREFIXES, VARIABLES, VLLM_FLAGS, VLLM_SHORT, raw_flag
from allod.render.serving import llamacpp, vllm

FLAGS = Path(vllm.__file__).parents[2] / "domain/serving/engine/engine_flags"
VLLM_KNOWN = (FLAGS / "vllm-0.32.txt").read_text(encoding="utf-8")
USERS_CHOICE = {"OMP_NUM_THREADS", "VLLM_CPU_OMP_THREADS_BIND"}
"""What the operator sets only where the user does not."""


def names_of_vllm() -> dict[str, list[str]]:
    """Long name without dashes -> every name of the same flag."""
    flags = [line.split()[1:] for line in VLLM_KNOWN.splitlines() if line and not line.startswith("#")]
    return {name.removeprefix("--"): names for names in flags for name in names if name.startswith("--")}


def test_every_reserved_flag_of_vllm_exists_and_is_reserved_by_all_its_names() -> None:
    known, taken = names_of_vllm(), re.compile(raw_flag(VLLM_FLAGS, VLLM_SHORT))
    assert VLLM_FLAGS.keys() - known.keys() == set()
    assert [name for flag in VLLM_FLAGS for name in known[flag] if not taken.match(name)] == []


def test_no_other_flag_of_vllm_is_taken_for_a_reserved_one() -> None:
    known, taken = names_of_vllm(), re.compile(raw_flag(VLLM_FLAGS, VLLM_SHORT))
    assert [name for flag, names in known.items() if flag not in VLLM_FLAGS for name in names if taken.match(name)] == []


@pytest.mark.parametrize("arg", ["--model=x", "--max_model_len", "-tp4", "-tp=4", "-dpl", "--api-key=secret", "--data_parallel_size=2"])
def test_a_reserved_flag_is_found_however_it_is_written(arg: str) -> None:
    assert re.match(raw_flag(VLLM_FLAGS, VLLM_SHORT), arg)


@pytest.mark.parametrize("arg", ["--model-impl", "-O3", "--max-num-batched-tokens=1", "--host-name", "4", "-c", "--dtype-x"])
def test_another_argument_is_left_alone(arg: str) -> None:
    assert not re.match(raw_flag(VLLM_FLAGS, VLLM_SHORT), arg)


@pytest.mark.parametrize("arg", ["-c", "--ctx-size", "--ctx_size", "-hf", "--api-key", "-ag", "--tools"])
def test_a_reserved_flag_of_llamacpp_is_found(arg: str) -> None:
    assert re.match(raw_flag(LLAMACPP_FLAGS, LLAMACPP_SHORT), arg)


def test_what_the_operator_sets_in_an_engine_nobody_else_can() -> None:
    """Two variables of one name would make a StatefulSet that the API server refuses."""
    several = VLLM | {"spec": VLLM["spec"] | {"nodes": 2, "parallelism": {"tensor": 2}}}
    ours = vllm.env(ModelDeployment.model_validate(several), "5b21aa0c") + llamacpp.env(ModelDeployment.model_validate(LLAMACPP))
    names = {variable["name"] for variable in ours} - USERS_CHOICE
    assert {name for name in names if name not in VARIABLES and not name.startswith(tuple(PREFIXES))} == set()
