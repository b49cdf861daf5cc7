"""A fault that meets another: no GPUs or no image when a rollout or a failover needs them, and the operator killed in between."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from box import Box, containers, waiting
from box.image import llamacpp
from cluster.asker import Asker
from cluster.models import Model, chat
from cluster.space import pod
from cluster.test_failover import HEALTH, STANDBY, engines, small, uptime
from cluster.test_faults import on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.release import Release
    from cluster.space import Space

GPU = "nvidia.com/gpu"
"""Each node has four."""
FIRST = "first-in-line"
IMAGE = "allod.test/llama.cpp:once"
"""The engine's image by another name, which only these tests give to a node and take from it."""


def greedy(gpus: int, **spec: Any) -> dict[str, Any]:
    """A model on node2 whose engine reserves GPUs, by the way that its API leaves for it: llama.cpp itself has no field for them."""
    reserved: dict[str, Any] = {"podTemplate": {"spec": {"containers": [{"name": "engine", "resources": {"limits": {GPU: str(gpus)}}}]}}}
    return chat(standby=STANDBY, health=HEALTH, **on("node2"), **reserved, **spec)


def served(space: Space, manifest: dict[str, Any]) -> tuple[Model, Asker]:
    """It serves, its standby is ready on node1, and a client there asks all the time."""
    standby = Model.apply(space, small(**on("node1")))
    model = Model.apply(space, manifest)
    standby.wait("Ready", "True")
    model.wait("Ready", "True")
    model.wait("StandbyReady", "True", "Serving")
    asker = Asker.start(space, "chat", node="node1")
    waiting.until("the client gets answers", lambda: asker.last() == "chat", seconds=20)
    return model, asker


def gpus(model: Model) -> list[str]:
    return [each["spec"]["containers"][0]["resources"]["limits"][GPU] for each in model.pods()]


def test_a_rollout_that_is_short_of_one_gpu_goes_by_way_of_the_standby_and_outlives_its_leader(space: Space, release: Release) -> None:
    release.wait_ready()
    model, asker = served(space, greedy(2))
    begun = uptime()
    Model.apply(space, greedy(3))
    waiting.until("traffic is handed off", lambda: "HandedOff" in model.actions(), seconds=60)
    release.signal(release.leader(), signal.SIGKILL)
    waiting.until("the new revision serves", lambda: model.status()["activeRevision"] == model.status()["desiredRevision"], seconds=90)
    waiting.until("the model answers again", lambda: asker.last() == "chat", seconds=60)
    waiting.until("the old pods are gone", lambda: gpus(model) == ["3"], seconds=30)
    told = asker.since(begun)
    assert told.count("lost") == 0, told
    assert "small" in told
    model.has_done("HandedBack", "HandedOff", "RevisionCreated")  # nothing twice, and no failure in it
    model.wait("Degraded", "False")


@pytest.fixture
def first_in_line(box: Box) -> Iterator[str]:
    """A PriorityClass whose pods take from others what they need."""
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": FIRST}, "value": 1000}
    box.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(kind))
    yield FIRST
    box.kubectl("delete", "priorityclass", FIRST)


def test_a_model_whose_gpus_somebody_else_takes_waits_on_its_standby_until_they_are_free(
    space: Space, release: Release, first_in_line: str
) -> None:
    release.wait_ready()
    model, asker = served(space, greedy(3))
    taken = uptime()
    limits = {"resources": {"limits": {GPU: "2"}}}
    # Three of four are the model's: it is short by one from now on.
    space.run(pod("taker", container=limits, priorityClassName=first_in_line, nodeSelector={"kubernetes.io/hostname": "node2"}))
    waiting.until("the standby answers", lambda: asker.last() == "small", seconds=30)
    message = model.wait("Degraded", "True", "InsufficientGPUs")
    assert "needs 3 nvidia.com/gpu on one node, and none has them free" in message
    model.wait("FailedOver", "True", "FailedOver")
    model.wait("Ready", "True", "StandbyServing")
    release.signal(release.leader(), signal.SIGKILL)
    space.kubectl("delete", "pod", "taker")
    waiting.until("the model answers again", lambda: asker.last() == "chat", seconds=90)
    told = asker.since(taken)
    assert told[told.index("small") :].count("lost") == 0, told
    assert told.count("lost") <= 10, f"what the pod that had to go had taken, and until its standby had the traffic: {told}"
    model.has_done("Recovered", "FailedOver", apart_from="Paged")
    model.wait("Degraded", "False")


@pytest.fixture
def once(box: Box) -> Iterator[None]:
    """The engine's image by its other name, on node2."""
    box.node("node2").tag(llamacpp.IMAGE_NAME, IMAGE)
    yield
    box.node("node2").forget(IMAGE)


@pytest.mark.usefixtures("once")
def test_an_image_that_is_gone_in_a_failover_keeps_traffic_on_the_standby_until_it_is_there_again(
    space: Space, release: Release, box: Box
) -> None:
    release.wait_ready()
    engine = {**chat()["spec"]["engine"], "image": IMAGE}
    model, asker = served(space, chat(standby=STANDBY, health=HEALTH, engine=engine, **on("node2")))
    box.node("node2").forget(IMAGE)
    frozen = uptime()
    containers.send(engines(box, model), signal.SIGSTOP)
    waiting.until("the standby answers", lambda: asker.last() == "small", seconds=30)
    message = model.wait("Degraded", "True", "ImagePull", seconds=60)
    assert f"the image {IMAGE} cannot be pulled" in message
    model.wait("Ready", "True", "StandbyServing")
    box.node("node2").tag(llamacpp.IMAGE_NAME, IMAGE)
    waiting.until("the model answers again", lambda: asker.last() == "chat", seconds=120)
    told = asker.since(frozen)
    assert told[told.index("small") :].count("lost") == 0, told
    model.has_done("Recovered", "FailedOver")
    assert len(model.status()["revisions"]) == 1, "the only revision that there is, is not given up for what may come back"


def test_a_revision_without_an_image_that_is_applied_in_a_failover_waits_and_the_good_one_comes_back(
    space: Space, release: Release, box: Box
) -> None:
    release.wait_ready()
    model, asker = served(space, chat(standby=STANDBY, health=HEALTH, **on("node2")))
    good, frozen = model.status()["activeRevision"], uptime()
    containers.send(engines(box, model), signal.SIGSTOP)
    waiting.until("the standby answers", lambda: asker.last() == "small", seconds=30)
    engine = {**chat()["spec"]["engine"], "image": "allod.test/nobody:4"}
    Model.apply(space, chat(standby=STANDBY, health=HEALTH, engine=engine, **on("node2")))
    release.signal(release.leader(), signal.SIGKILL)
    waiting.until("the good one answers again", lambda: asker.last() == "chat", seconds=120)
    message = model.wait("Degraded", "True", "ImagePull")
    assert "allod.test/nobody:4" in message
    told = asker.since(frozen)
    assert told[told.index("small") :].count("lost") == 0, told
    assert model.status()["activeRevision"] == good
    assert model.condition("Ready")["status"] == "True"
