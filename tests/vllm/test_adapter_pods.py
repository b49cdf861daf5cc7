"""LoRA adapters of a ModelDeployment in real pods: from `kubectl apply` to an answer without a restart, and again after the pod is gone."""

from __future__ import annotations

import concurrent.futures
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from box import waiting
from cluster.models import Model, client, smol
from cluster.release import NAMESPACE
from cluster.space import pod
from support.lora import SMOLLM2_360M, lora

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from box import Box
    from cluster.release import Release
    from cluster.space import Space

START = 300
"""Seconds, as for any vLLM on two cores."""
LORAS = "/var/lib/models/loras"
"""On the node."""
FRANCE = "What is the capital of France?"


def adapter(name: str, where: str = "pvc://loras", **more: Any) -> dict[str, Any]:
    return {"name": name, "uri": f"{where}/{name}", "rank": 8, **more}


@pytest.fixture
def claimed(space: Space, box: Box, vllm_node: str, tmp_path: Path) -> Iterator[Space]:
    """A namespace with a claim that has adapters, which are in a folder of the node too."""
    for number, name in enumerate(("one", "two", "node"), 1):
        lora(tmp_path / name, seed=number)
    lora(tmp_path / "wide", rank=64)
    lora(tmp_path / "other", base=SMOLLM2_360M)
    tmp_path.chmod(0o755)
    node = box.node(vllm_node)
    node.space.run("mkdir", "-p", LORAS)
    node.space.run("cp", "-rL", f"{tmp_path}/.", LORAS)
    node.space.run("chmod", "-R", "a+rX", LORAS)
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    space.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "loras"}, "spec": spec})
    volumes = [{"name": "to", "persistentVolumeClaim": {"claimName": "loras"}}, {"name": "from", "hostPath": {"path": LORAS}}]
    mounts = {"volumeMounts": [{"name": "to", "mountPath": "/to"}, {"name": "from", "mountPath": "/from"}]}
    writer = pod("writer", "cp -r /from/. /to && exec sleep 1000", container=mounts, volumes=volumes)
    writer["spec"]["nodeSelector"] = {"kubernetes.io/hostname": vllm_node}
    space.run(writer)
    waiting.until("the claim has the adapters", lambda: "other" in space.inside("writer", "ls /to"), seconds=20)
    yield space
    space.kubectl("delete", "mdl", "--all")


def lives(model: Model) -> list[tuple[str, int]]:
    """Uid and restarts of each pod."""
    return [(each["metadata"]["uid"], each["status"]["containerStatuses"][0]["restartCount"]) for each in model.pods()]


def spec(node: str, *adapters: dict[str, Any]) -> dict[str, Any]:
    """With adapters a step takes twice as long, and the cores are shared: no few seconds are a hang here."""
    return smol(node, adapters=list(adapters), health={"hangTimeout": "60s", "startupTimeout": "10m", "drainTimeout": "2s"})


def wants(model: Model, node: str, *adapters: dict[str, Any]) -> None:
    model.space.apply(spec(node, *adapters))


def asked(name: str, tokens: int, at: str = "smol") -> str:
    """A shell command that prints the answer's JSON, and fails when there is none."""
    body = json.dumps({"model": name, "prompt": FRANCE, "max_tokens": tokens, "temperature": 0, "ignore_eos": True})
    header = "--header 'Content-Type: application/json'"
    return f"wget -q -T 120 -O - {header} --post-data '{body}' http://{at}:8000/v1/completions 2>/dev/null"


def says(model: Model, name: str, at: str = "smol") -> str:
    """Six tokens; empty when there is no answer."""
    said = model.space.inside(client(model.space), f"{asked(name, 6, at)} || true")
    return str(json.loads(said)["choices"][0]["text"]) if said.strip() else ""


def state(model: Model, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next((each for each in model.status().get("adapters", ()) if each["name"] == name), {})
    return found


def test_adapters_come_and_go_without_a_restart_and_outlive_their_pod(claimed: Space, vllm_node: str, release: Release) -> None:
    one, node, two = adapter("one"), adapter("node", f"file://{LORAS}"), adapter("two")
    model = Model.apply(claimed, spec(vllm_node, one, node))
    model.wait("Ready", "True", seconds=START)
    model.wait("AdaptersReady", "True", "AllLoaded", seconds=30)
    answers = {name: says(model, name) for name in ("smol", "one", "node")}
    assert len(set(answers.values()) - {""}) == 3, answers
    before = lives(model)

    assert not says(model, "two")
    seconds = seconds_to_first_answer(model, "two", lambda: wants(model, vllm_node, one, node, two))
    print(f"from kubectl apply to the first token of a new adapter: {seconds:.1f} s")  # noqa: T201  # the figure in docs/adapters.md
    model.wait("AdaptersReady", "True", "AllLoaded", seconds=30)
    answers["two"] = says(model, "two")
    assert len(set(answers.values()) - {""}) == 4, answers
    assert lives(model) == before

    wants(model, vllm_node, one, node, two, adapter("wide", rank=16), adapter("other"))
    model.wait("AdaptersReady", "False", "AdapterRefused", seconds=60)
    waiting.until("both are refused", lambda: state(model, "other").get("state") == "Refused", seconds=30)
    assert state(model, "wide")["message"] == "rank 64 > 16: its adapter_config.json says 64, so set adapters[].rank to 64"
    assert state(model, "other")["message"].endswith("model.layers.0.self_attn.q_proj has 576 inputs here and 960 in the adapter")
    model.tells("AdapterRefused: wide: rank 64 > 16")
    model.wait("Ready", "True")

    wants(model, vllm_node, node, two)
    model.wait("AdaptersReady", "True", "AllLoaded", seconds=60)
    waiting.until("the one that was removed gets no answer", lambda: not says(model, "one"), seconds=30)
    assert lives(model) == before

    without_the_operator(release, model)
    assert lives(model) != before
    assert says(model, "two") == answers["two"]


def without_the_operator(release: Release, model: Model) -> None:
    """The pod is deleted while nobody but Kubernetes looks: the next one answers with its adapters from its first ready moment on."""
    scale = ("scale", "deployment/allod", "--namespace", NAMESPACE)
    release.box.kubectl(*scale, "--replicas=0")
    try:
        waiting.until("the operator is gone", lambda: not release.pods(), seconds=60)
        (old,) = model.pods()
        model.space.kubectl("delete", "pod", old["metadata"]["name"])
        waiting.until("another pod serves", lambda: bool(model.endpoints()) and lives(model)[0][0] != old["metadata"]["uid"], seconds=START)
        (new,) = model.pods()
        # Not by the Service: kube-proxy follows within a second.
        assert says(model, "two", at=new["status"]["podIP"]), "the very first request"
    finally:
        release.box.kubectl(*scale, "--replicas=2")
        release.wait_ready()


def seconds_to_first_answer(model: Model, name: str, change: Any) -> float:
    """A client asks again and again, ten times a second, and begins before the change.

    7.3 were measured on busy cores. Without the annotation that wakes kubelet it would be its minute or more.
    """
    loop = f"until {asked(name, 1)} >/dev/null; do sleep 0.1; done"
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answered = pool.submit(model.space.inside, client(model.space), loop)
        time.sleep(2)
        assert not answered.done(), "nobody answers before the change"
        began = time.monotonic()
        change()
        answered.result(timeout=300)
        return time.monotonic() - began
