"""Pods that do not end, because their node is off."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from allod.domain.conditions import timestamp
from allod.domain.serving.health.leaving import stuck
from unit.domain.simulation import World, companion, serving_world


class Off(World):
    """A's node is off: its pod stays, whatever is asked for."""

    def kubernetes(self) -> None:
        before = {name: pod for name, pod in self.pods.items() if "deletionTimestamp" in pod["metadata"]}
        super().kubernetes()
        self.pods |= before


def node_off(**spec: Any) -> Off:
    world = Off(companion=companion())
    for name, value in spec.items():
        world.spec[name] = value
    world.settle()
    (pod,) = world.pods.values()
    pod["metadata"]["deletionTimestamp"] = timestamp(world.now + timedelta(seconds=30))
    pod["status"]["conditions"][-1]["status"] = "False"
    return world


def test_a_pod_that_does_not_end_is_named_with_its_node_and_what_to_do() -> None:
    world = node_off()
    world.wait(80)
    assert world.condition("Ready")[1] == "Unavailable"
    world.wait(20)
    assert world.condition("Ready")[:2] == ("False", "PodStuck")
    assert world.condition("Degraded")[2] == (
        "chat-08277d62-0 should have ended more than 1m ago and holds what it reserved: is its node n1 alive? if it is off, "
        "kubectl taint node n1 node.kubernetes.io/out-of-service=nodeshutdown:NoExecute, or kubectl delete node n1"
    )
    world.pods.clear()
    world.settle()
    assert world.condition("Degraded")[0] == "False"


@pytest.mark.parametrize("strategy", ["Recreate", "StandbyHandoff"])
def test_a_rollout_that_waits_for_its_gpus_says_so(strategy: str) -> None:
    world = node_off(rollout={"strategy": strategy, "bake": "0s"}, standby={"modelDeploymentRef": {"name": "chat-small"}})
    world.edit(engine__maxModelLen=32768)
    world.wait(120)
    assert world.asked() == {"A": 0, "B": 0}
    assert world.condition("Progressing")[:2] == ("True", "PodStuck")


def test_a_pod_that_ends_in_its_time_is_no_trouble() -> None:
    world = serving_world()
    world.edit(replicas=0)
    world.wait(120)
    assert world.condition("Degraded")[0] == "False"


def test_a_pod_with_a_finalizer_waits_for_whoever_set_it() -> None:
    world = node_off()
    (pod,) = world.pods.values()
    pod["metadata"]["finalizers"] = ["example.com/audit"]
    found = stuck(world.seen, world.now + timedelta(minutes=2))
    assert found is not None
    assert found.message.endswith("it waits for example.com/audit, which whoever set it has to take away"), "its node may well be alive"


def test_a_pod_that_does_not_end_keeps_nobody_awake_while_its_model_sleeps_and_is_no_failure_when_it_wakes() -> None:
    world = node_off(standby={"modelDeploymentRef": {"name": "chat-small"}})
    world.edit(replicas=0)
    world.wait(300)
    assert world.condition("Ready")[:2] == ("False", "ScaledToZero")
    assert world.condition("Degraded")[:2] == ("True", "PodStuck")
    assert "Paged" not in [step["action"] for step in world.status["history"]]
    world.edit(replicas=1)
    assert world.settle() == ["A: 1 pods", "route chat-small"]
    assert world.status["history"][0]["action"] == "HandedOff"
