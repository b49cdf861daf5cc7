"""The programs of ours in the pods of a vLLM: what a pod runs is what its ConfigMap brings."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from allod.api.modeldeployment import ModelDeployment
from allod.render.serving import vllm
from allod.render.serving.configmap import watchdog_configmap
from allod.render.serving.statefulset import statefulset
from unit.domain.simulation import DEFAULTS, SPEC

RANK, HUB = ["python3", "/etc/allod/rank.py"], ["python3", "/etc/allod/hub.py"]


@pytest.mark.parametrize(
    ("uri", "nodes", "before", "programs"),
    [
        ("pvc://models/smollm2", 1, [], {"watchdog.py"}),
        ("pvc://models/smollm2", 2, RANK, {"watchdog.py", "rank.py"}),
        ("hf://org/name", 1, HUB, {"watchdog.py", "hub.py"}),
        ("hf://org/name", 2, [*RANK, *HUB], {"watchdog.py", "rank.py", "hub.py"}),
    ],
)
def test_each_becomes_the_next_and_the_last_is_vllm(uri: str, nodes: int, before: list[str], programs: set[str]) -> None:
    spec: dict[str, Any] = copy.deepcopy(SPEC) | {"model": {"uri": uri}, "nodes": nodes, "parallelism": {"tensor": nodes}}
    meta = {"name": "chat", "namespace": "ai", "uid": "u", "generation": 1}
    model = ModelDeployment.model_validate({"apiVersion": "allod.dev/v1alpha1", "kind": "ModelDeployment", "metadata": meta, "spec": spec})
    kept = statefulset(model, "5b21aa0c", DEFAULTS)
    assert kept["spec"]["template"]["spec"]["containers"][0]["command"] == [*before, "vllm", "serve"]
    configmap = watchdog_configmap(model, "5b21aa0c", keeps_adapters=False, nodes=nodes, asks_hub=vllm.asks_hub(kept))
    assert configmap["data"].keys() == programs | {"sitecustomize.py"}
