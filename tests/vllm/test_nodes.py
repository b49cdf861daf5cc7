"""One real vLLM over three pods on two real nodes: it answers, and comes back when one rank is lost."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING, Any

from box import containers, waiting
from cluster.models import Model, client, smol

if TYPE_CHECKING:
    from box import Box
    from cluster.space import Space

START = 1200
"""Seconds: three engines load on two cores, which took 7 to 11 minutes where others used them too."""
# One step of three ranks on two cores may take as long as a hang that a person would notice.
HEALTH = {"hangTimeout": "60s", "startupTimeout": "15m", "drainTimeout": "2s"}


def over_three(gpus: int, **spec: Any) -> dict[str, Any]:
    ranks = {"nodes": 3, "parallelism": {"tensor": 3 * gpus}, "health": HEALTH, "scheduling": {}}
    return smol("", **ranks, resources={"cpu": "200m", "memory": "5Gi", "gpu": {"count": gpus}}, **spec)


def ranks(model: Model) -> dict[str, dict[str, Any]]:
    """Pods by rank."""
    return {pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"]: pod for pod in model.pods()}


def test_an_engine_over_three_pods_answers_and_comes_back_when_one_rank_is_killed(
    space: Space, box: Box, vllm_nodes: tuple[str, ...]
) -> None:
    begun = time.monotonic()
    model = Model.apply(space, over_three(1))
    model.wait("Ready", "True", seconds=START)
    started = time.monotonic() - begun
    assert model.ask("What is the capital of France?", seconds=120).strip()
    before = ranks(model)
    assert sorted(before) == ["0", "1", "2"]
    assert {pod["spec"]["nodeName"] for pod in before.values()} == set(vllm_nodes)
    assert model.endpoints() == {before["0"]["status"]["podIP"]}, "the first rank alone answers"
    status = model.status()
    assert (status["replicas"], status["readyReplicas"], status["gpus"]) == (1, 1, 3)
    waiting.until("every rank is as ready as the first", lambda: all(_ready(pod) for pod in model.pods()), seconds=30)

    address, asker = before["0"]["status"]["podIP"], client(space)
    assert _connects(space, before["1"]["metadata"]["name"], address), "ranks reach each other where they meet"
    said = space.inside(asker, f"wget -T 5 -O - http://{address}:29501/ 2>&1 || true")
    assert "can't connect" in said or "timed out" in said, f"nobody else reaches them there: {said}"
    assert "404" in space.inside(asker, f"wget -T 5 -O - http://{before['1']['status']['podIP']}:8000/v1/models 2>&1 || true")

    begun = time.monotonic()
    workers = box.processes(f"{space.name}/{before['2']['metadata']['name']}", "engine", match="VLLM::Worker")
    containers.send(workers, signal.SIGKILL)
    waiting.until("the model is not ready any more", lambda: model.condition("Ready").get("status") == "False", seconds=60)
    noticed = time.monotonic() - begun
    model.wait("Ready", "True", seconds=START)
    back = time.monotonic() - begun
    assert model.ask("What is the capital of France?", seconds=120).strip()
    after = ranks(model)
    assert {pod["metadata"]["uid"] for pod in after.values()}.isdisjoint(pod["metadata"]["uid"] for pod in before.values())
    told = next(step for step in model.status()["history"] if step["action"] == "GroupRestarted")
    assert told["from"] == before["0"]["metadata"]["name"].removesuffix("-0")
    assert before["2"]["metadata"]["name"] in told["cause"]
    model.tells(f"GroupRestarted: all pods of {told['from']} are started anew: ")
    print(f"\nready after {started:.0f} s; a killed rank was noticed after {noticed:.1f} s, the group answered again after {back:.0f} s")  # noqa: T201  # the figures of docs/rollouts.md


def test_a_group_that_finds_only_a_part_of_its_gpus_says_so_and_starts_no_engine(space: Space, vllm_nodes: tuple[str, ...]) -> None:
    assert len(vllm_nodes) == 2, "each node has four GPUs: three pods with three each do not fit"
    model = Model.apply(space, over_three(3))
    model.wait("GPUsAvailable", "False", "InsufficientGPUs", seconds=120)
    says = "(2 of the 3 pods of its group have theirs and wait)"
    waiting.until("it says who waits", lambda: says in model.condition("GPUsAvailable").get("message", ""), seconds=60)
    waiting.until("two pods wait for the third", lambda: _gathering(model) == 2, seconds=60)
    time.sleep(5)
    assert _gathering(model) == 2, "no engine starts"


def _connects(space: Space, pod: str, address: str) -> bool:
    program = f"import socket; socket.create_connection(('{address}', 29501), 5); print('connected')"
    return "connected" in space.kubectl("exec", pod, "-c", "engine", "--", "python3", "-c", program)


def _ready(pod: dict[str, Any]) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))


def _gathering(model: Model) -> int:
    """Pods whose init container `gather` runs and whose engine does not."""
    found = 0
    for pod in json.loads(model.space.kubectl("get", "pods", "-o", "json"))["items"]:
        init = {each["name"]: each["state"] for each in pod["status"].get("initContainerStatuses", ())}
        engines = [each["state"] for each in pod["status"].get("containerStatuses", ()) if each["name"] == "engine"]
        found += "running" in init.get("gather", {}) and not any("running" in state for state in engines)
    return found
