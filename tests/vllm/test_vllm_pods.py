"""Real vLLM in real pods, as a ModelDeployment: it answers, it shards, and a hung worker loses its traffic."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

from box import containers, waiting
from cluster.models import HANG, Model, client, smol

if TYPE_CHECKING:
    from box import Box
    from cluster.space import Space

START = 300
"""Seconds: 66 were measured on two idle cores; three ranks on loaded ones take several times that."""


def test_a_hung_worker_leaves_the_endpoints_while_vllm_itself_says_that_all_is_well(space: Space, box: Box, vllm_node: str) -> None:
    model = Model.apply(space, smol(vllm_node))
    model.wait("Ready", "True", seconds=START)
    assert model.ask("What is the capital of France?").strip()
    model.wait("FitsMemory", "True", "Measured", seconds=90)
    figures = model.status()["fit"]
    assert figures["source"] == "Engine"
    assert figures["kvCacheTokens"] == 23296, "1 GiB at 46,080 bytes a token, in blocks of 128: what vLLM logs for this model"

    pod = model.pods()[0]
    address, before = pod["status"]["podIP"], pod["status"]["containerStatuses"][0]["restartCount"]
    asker = client(space)
    workers = box.processes(f"{space.name}/{pod['metadata']['name']}", "engine", match="VLLM::Worker")
    containers.send(workers, signal.SIGSTOP)
    waiting.until("the pod has left the endpoints", lambda: not model.endpoints(), seconds=HANG * 2 + 20)
    health = space.inside(asker, f"wget -q -T 2 -S -O /dev/null http://{address}:8000/health 2>&1 || true")
    ready = space.inside(asker, f"wget -T 2 -O - http://{address}:8000/allod/ready 2>&1 || true")
    containers.send(workers, signal.SIGCONT)
    assert "200 OK" in health, health
    assert "503" in ready, ready
    waiting.until("the pod is back", lambda: bool(model.endpoints()), seconds=START)
    assert model.ask("What is the capital of France?").strip()
    assert model.pods()[0]["status"]["containerStatuses"][0]["restartCount"] == before, "it was resumed in time: no restart"


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


def test_heads_that_do_not_divide_are_refused_by_the_model_itself_and_hold_no_gpu(space: Space, vllm_node: str) -> None:
    ranks = {"parallelism": {"tensor": 2}, "resources": {"cpu": "500m", "memory": "8Gi", "gpu": {"count": 2}}}
    model = Model.apply(space, smol(vllm_node, **ranks))
    message = model.wait("FitsMemory", "False", "HeadsNotDivisible", seconds=120)
    assert "9 attention heads" in message
    waiting.until("no pod is left", lambda: not model.pods(), seconds=60)
    assert model.status().get("gpus", 0) == 0


def test_a_path_that_is_not_on_the_node_is_named(space: Space, vllm_node: str) -> None:
    model = Model.apply(space, smol(vllm_node, model={"uri": "file:///var/lib/models/nothing"}))
    assert "/var/lib/models/nothing" in model.wait("Degraded", "True", seconds=120)
