"""Faults that meet: a node, two models at once, a rollout, the operator itself. On real nodes, with a client that asks."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from box import Box, containers, waiting
from cluster.asker import Asker
from cluster.models import Model, chat
from cluster.test_failover import HEALTH, STANDBY, engines, small, uptime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.release import Release
    from cluster.space import Space


def on(node: str) -> dict[str, Any]:
    return {"scheduling": {"nodeSelector": {"kubernetes.io/hostname": node}}}


@pytest.fixture
def apart(space: Space, release: Release, box: Box) -> Iterator[tuple[Model, Asker]]:
    """A model on node2; its standby, and whoever asks, on node1. The node is up again afterwards."""
    release.wait_ready()
    standby = Model.apply(space, small(**on("node1")))
    model = Model.apply(space, chat(standby=STANDBY, health=HEALTH, **on("node2")))
    standby.wait("Ready", "True")
    model.wait("StandbyReady", "True", "Serving")
    model.wait("Ready", "True")
    asker = Asker.start(space, "chat", node="node1")
    waiting.until("the client gets answers", lambda: asker.last() == "chat", seconds=20)
    yield model, asker
    if not box.node("node2").running:
        box.start("node2")
    release.wait_ready()


def test_a_crashed_node_hands_over_before_kubernetes_knows_and_takes_back_when_it_runs_again(
    apart: tuple[Model, Asker], box: Box, release: Release
) -> None:
    model, asker = apart
    leads = release.leader()
    with_leader = next(each["spec"]["nodeName"] for each in release.pods() if each["metadata"]["name"] == leads) == "node2"
    crashed = uptime()
    box.crash("node2")
    waiting.until("the standby answers", lambda: asker.last() == "small", seconds=60 if with_leader else 20)
    box.start("node2")
    waiting.until("the model answers again", lambda: asker.last() == "chat", seconds=120)
    told = asker.since(crashed)
    assert told[told.index("small") :].count("lost") == 0, told
    model.has_done("Recovered")


def test_a_leader_that_is_killed_in_a_failover_leaves_it_to_the_next(apart: tuple[Model, Asker], box: Box, release: Release) -> None:
    model, asker = apart
    # Nobody is left who could see it: the leader is dead before the engine is.
    release.signal(release.leader(), signal.SIGKILL)
    containers.send(engines(box, model), signal.SIGSTOP)
    waiting.until("the standby answers", lambda: asker.last() == "small", seconds=60)
    release.signal(release.leader(), signal.SIGKILL)  # and with traffic away
    waiting.until("the model answers again", lambda: asker.last() == "chat", seconds=120)
    model.has_done("Recovered", "FailedOver")
    steps = model.actions()
    assert (steps.count("FailedOver"), steps.count("Recovered")) == (1, 1), steps


def test_both_at_once_answer_again_when_one_of_them_does(apart: tuple[Model, Asker], box: Box) -> None:
    model, asker = apart
    standby = Model(model.space, "small")
    containers.send([*engines(box, model), *engines(box, standby)], signal.SIGSTOP)
    waiting.until("nobody answers", lambda: asker.last() == "lost", seconds=20)
    waiting.until("somebody answers again", lambda: asker.last() != "lost", seconds=90)
    waiting.until("the model answers again", lambda: asker.last() == "chat", seconds=90)
    model.wait("FailedOver", "False", "AtHome")
    model.wait("Degraded", "False")


def test_an_engine_that_freezes_in_a_rollout_goes_over_to_whoever_serves(apart: tuple[Model, Asker], box: Box) -> None:
    model, asker = apart
    bad = chat(standby=STANDBY, health=HEALTH, rollout={"bake": "30s"}, **on("node2"))
    bad["spec"]["engine"]["extraArgs"] = ["--flash-attention-3"]
    Model.apply(model.space, bad)
    waiting.until("the rollout runs", lambda: model.status()["desiredRevision"] != model.status()["activeRevision"], seconds=20)
    frozen = uptime()
    containers.send(engines(box, model), signal.SIGSTOP)
    waiting.until("the standby answers", lambda: asker.last() == "small", seconds=30)
    waiting.until("the good revision answers again", lambda: asker.last() == "chat", seconds=120)
    told = asker.since(frozen)
    assert told[told.index("small") :].count("lost") == 0, told
    waiting.until("the bad one is given up", lambda: "Failed" in [each["state"] for each in model.status()["revisions"]], seconds=60)
    assert model.status()["activeRevision"] != model.status()["desiredRevision"]


def test_two_models_with_one_standby_both_go_there(apart: tuple[Model, Asker], box: Box) -> None:
    model, asker = apart
    both = small(**on("node1"))
    both["spec"]["model"]["aliases"] = ["chat", "other"]
    Model.apply(model.space, both)
    other = Model.apply(model.space, chat("other", standby=STANDBY, health=HEALTH, **on("node2")))
    other.wait("StandbyReady", "True", "Serving", seconds=90)
    model.wait("StandbyReady", "True", "Serving")
    other.wait("Ready", "True")
    containers.send([*engines(box, model), *engines(box, other)], signal.SIGSTOP)
    waiting.until("the standby answers for one", lambda: asker.last() == "small", seconds=30)
    for each in (model, other):
        each.wait("FailedOver", "True", "FailedOver")
    assert other.ask().strip()
    for each in (model, other):
        each.wait("FailedOver", "False", "AtHome", seconds=120)


def test_a_silent_node_costs_its_share_of_requests_for_seconds_not_for_as_long_as_kubernetes_takes(
    space: Space, release: Release, box: Box
) -> None:
    release.wait_ready()
    spread = {"topologySpread": "Node"}
    model = Model.apply(space, chat(replicas=2, scheduling=spread))
    waiting.until("both pods serve", lambda: model.status().get("readyReplicas") == 2, seconds=90)
    assert {each["spec"]["nodeName"] for each in model.pods()} == {"node1", "node2"}
    leads = release.leader()
    homes = {each["metadata"]["name"]: each["spec"]["nodeName"] for each in release.pods()}
    (silent,) = {"node1", "node2"} - {homes[leads]}  # with it the leader would go, and its lease is another story
    asker = Asker.start(space, "chat", node=homes[leads])
    waiting.until("the client gets answers", lambda: asker.last() == "chat", seconds=20)
    cut = uptime()
    box.link(silent, up=False)
    try:
        waiting.until("the silent pod is out", lambda: len(model.endpoints()) == 1, seconds=60)
        out = uptime()
        ready = box.kubectl("get", "node", silent, "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')
        waiting.until("the client asked for a while", lambda: len(asker.since(out + 3)) >= 20, seconds=60)
        assert "lost" not in asker.since(out + 3), "kube-proxy has followed"
        assert ready == "True", f"it took {out - cut:.1f} s, and Kubernetes knew by itself"
    finally:
        box.link(silent, up=True)
    waiting.until("both pods take traffic again", lambda: len(model.endpoints()) == 2, seconds=60)
    model.tells("PodSidelined: ")
