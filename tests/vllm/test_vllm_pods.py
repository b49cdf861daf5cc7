"""Real vLLM in real pods, as a ModelDeployment: it shards, and what cannot be is refused. What goes wrong later is in test_fault_pods."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from box import waiting
from cluster.models import Model, smol

if TYPE_CHECKING:
    from box import Box
    from cluster.space import Space

START = 300
"""Seconds: 66 were measured on two idle cores; three ranks on loaded ones take several times that."""


def test_one_model_over_three_ranks_with_three_gpus_reserved(space: Space, box: Box, vllm_node: str) -> None:
    ranks = {"parallelism": {"tensor": 3}, "resources": {"cpu": "500m", "memory": "14Gi", "gpu": {"count": 3}}}
    # Three ranks share two cores with everything else: one step may take as long as a hang that a person would notice.
    model = Model.apply(space, smol(vllm_node, **ranks, health={"hangTimeout": "60s", "startupTimeout": "10m", "drainTimeout": "2s"}))
    model.wait("Ready", "True", seconds=START * 2)
    assert model.ask("What is the capital of France?", seconds=120).strip()
    pod = model.pods()[0]["metadata"]["name"]
    assert len(box.processes(f"{space.name}/{pod}", "engine", match="VLLM::Worker")) == 3
    assert model.status()["gpus"] == 3
    model.wait("GPUsAvailable", "True", "Reserved")
    node = json.loads(space.kubectl("get", "pod", pod, "-o", "json"))["spec"]["containers"][0]
    assert node["resources"]["limits"]["nvidia.com/gpu"] == "3"


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "heads that do not divide": (
        {"parallelism": {"tensor": 2}, "resources": {"cpu": "500m", "memory": "8Gi", "gpu": {"count": 2}}},
        *("HeadsNotDivisible", r"9 attention heads cannot be divided among parallelism\.tensor 2; possible are 1, 3, 9"),
    ),
    "weights that are too large": (
        {"resources": {"cpu": "500m", "memory": "2Gi"}},
        *(
            "DoesNotFit",
            r"weights 523 MiB \+ overhead 2\.1 GiB do not fit 2\.0 GiB .*; resources\.memory has to be more than",
        ),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_by_the_model_itself_and_holds_no_gpu(space: Space, vllm_node: str, case: str) -> None:
    spec, reason, says = REFUSED[case]
    model = Model.apply(space, smol(vllm_node, **spec))
    message = model.wait("FitsMemory", "False", reason, seconds=120)
    assert re.match(says, message), message
    waiting.until("no pod is left", lambda: not model.pods(), seconds=60)
    assert model.status().get("gpus", 0) == 0


def test_a_flag_that_this_vllm_does_not_know_is_named_by_its_own_words(space: Space, vllm_node: str) -> None:
    manifest = smol(vllm_node)
    manifest["spec"]["engine"]["args"] = {**manifest["spec"]["engine"].get("args", {}), "flash-attention-3": "true"}
    model = Model.apply(space, manifest)
    message = model.wait("Degraded", "True", "UnknownFlag", seconds=120)
    assert "flash-attention-3" in message
    assert model.condition("Ready")["status"] == "False"


def test_a_path_that_is_not_on_the_node_is_named(space: Space, vllm_node: str) -> None:
    model = Model.apply(space, smol(vllm_node, model={"uri": "file:///var/lib/models/nothing"}))
    assert "/var/lib/models/nothing" in model.wait("Degraded", "True", seconds=120)
