"""A replica of several pods: one thing for the rollout, and started anew as a whole when one of its ranks is lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from allod.domain.manifest import Ref
from allod.domain.names import RANK, REPLICA_GROUP
from unit.domain.simulation import World, companion, crashing, hung, no_gpus, ready, refused, serving_world, starting

THREE = {"nodes": 3, "parallelism": {"tensor": 3}}


def world_of_groups(**spec: Any) -> World:
    """A at rest, each replica over three pods."""
    world = World()
    world.spec |= THREE | spec
    world.settle()
    world.events.clear()
    return world


def statefulsets(world: World) -> list[str]:
    return sorted(name.name.rpartition("-")[2] for name in world.children if name.kind == "StatefulSet")


def names(world: World) -> dict[str, str]:
    """Pods by group and rank: `g0-2`."""
    return {name.partition("-g")[2]: name for name in world.pods}


def test_each_replica_is_a_statefulset_of_its_ranks() -> None:
    world = world_of_groups(replicas=2)
    assert statefulsets(world) == ["g0", "g1"]
    assert sorted(names(world)) == ["0-0", "0-1", "0-2", "1-0", "1-1", "1-2"]
    assert {key: world.status[key] for key in ("replicas", "readyReplicas", "ready", "gpus")} == {
        "replicas": 2,
        "readyReplicas": 2,
        "ready": "2/2",
        "gpus": 6,
    }
    assert world.condition("Ready")[2].startswith("2 of 2 groups of revision ")
    assert world.status["selector"].endswith(",apps.kubernetes.io/pod-index=0")


def test_replicas_go_from_the_highest_number_and_come_back_with_it() -> None:
    world = world_of_groups(replicas=3)
    world.edit(replicas=1)
    assert world.settle() == ["A: 1 pods"]
    assert statefulsets(world) == ["g0"]
    world.edit(replicas=2)
    assert world.settle() == ["A: 2 pods"]
    assert statefulsets(world) == ["g0", "g1"]
    world.edit(replicas=0)
    assert world.settle() == ["A: 0 pods"]
    assert world.condition("Ready")[1] == "ScaledToZero"
    assert not world.pods


def test_the_first_pod_alone_is_behind_the_services() -> None:
    world = world_of_groups()
    services = {name.name: each["spec"]["selector"] for name, each in world.children.items() if name.kind == "Service"}
    assert [RANK in selector for name, selector in sorted(services.items())] == [True, True, False]
    assert services["chat"][RANK] == "0"


def test_traffic_moves_between_one_pod_and_several_by_one_selector() -> None:
    world = World()
    world.settle()
    world.edit(nodes=3, parallelism={"tensor": 3})
    assert world.settle() == ["B: 1 pods", "route B", "A: gone"]
    assert world.children[Ref("v1", "Service", "ai", "chat")]["spec"]["selector"][RANK] == "0"
    world.edit(nodes=1, parallelism={"tensor": 1})
    world.settle()
    assert RANK not in world.children[Ref("v1", "Service", "ai", "chat")]["spec"]["selector"]


@pytest.mark.parametrize("strategy", [{"maxSurge": 1}, {}, {"strategy": "Recreate"}], ids=str)
def test_a_rollout_takes_the_same_steps_with_groups_as_with_single_pods(strategy: dict[str, Any]) -> None:
    steps = []
    for world in (serving_world(replicas=2), world_of_groups(replicas=2)):
        world.edit(rollout={"bake": "0s"} | strategy)
        world.settle()
        world.edit(engine__maxModelLen=8192)
        steps.append(world.settle())
    single, groups = steps
    if "B: 1 pods" not in single:
        groups.remove("B: 1 pods")  # groups get their nodes in turn
    # With nothing left of A traffic goes to the first group of B, while a pod of two had none before it.
    assert [sorted(single), sorted(groups)] == [sorted(single)] * 2 if strategy.get("strategy") else single == groups
    assert single[-1] == groups[-1] == "A: gone"


@pytest.mark.parametrize(
    ("gpus", "made"),
    [pytest.param(2, ["g0"], id="not even one has its nodes"), pytest.param(4, ["g0", "g1"], id="one has its nodes, the next waits")],
)
def test_two_groups_never_hold_a_part_of_the_gpus_each(gpus: int, made: list[str]) -> None:
    world = World(gpus=gpus)
    world.spec |= THREE | {"replicas": 2}
    world.settle()
    assert statefulsets(world) == made
    world.gpus = 6
    assert world.settle()[-1:] == ["A: 2 pods"] * (gpus == 2)
    assert world.status["ready"] == "2/2"


def test_a_group_that_lost_a_node_takes_no_other_one_away() -> None:
    world = world_of_groups(replicas=2)
    world.gpus = 3
    for name in list(world.pods):
        del world.pods[name]
    world.settle()
    assert statefulsets(world) == ["g0", "g1"]


def test_a_group_with_a_part_of_its_gpus_says_how_many_of_its_pods_wait() -> None:
    world = World(gpus=2)
    world.spec |= THREE
    world.settle()
    says = world.condition("GPUsAvailable")
    assert says[:2] == ("False", "InsufficientGPUs")
    assert "needs 1 nvidia.com/gpu on one node, and none has them free (2 of the 3 pods of its group have theirs and wait)" in says[2]
    world.gpus = 3
    world.settle()
    assert world.condition("Ready")[0] == "True"


def test_a_lost_rank_ends_all_pods_of_its_group_and_no_other() -> None:
    world = world_of_groups(replicas=2)
    world.now += timedelta(minutes=5)
    lost = names(world)["0-2"]
    world.rank_ends(lost)
    made = world.reconcile()
    assert sorted(each.pod["metadata"]["labels"][REPLICA_GROUP] for each in made.endings) == ["0", "0", "0"]
    assert {each.grace for each in made.endings} == {1}
    assert world.status["readyReplicas"] == 1
    told = world.status["history"][0]
    assert (told["action"], told["from"]) == ("GroupRestarted", lost.removesuffix("-2"))
    assert told["cause"] == f"{lost} ended with exit code 137 (OOMKilled): the other 2 ranks of its group would wait for it for ever"
    assert any(said.startswith("Warning GroupRestarted: all pods of chat-A-g0 are started anew: ") for said in world.told())
    world.settle()
    assert world.status["readyReplicas"] == 2


@pytest.mark.parametrize("rank", [0, 1])
def test_any_rank_that_is_lost_takes_its_group_along(rank: int) -> None:
    world = world_of_groups()
    world.now += timedelta(minutes=5)
    world.rank_ends(names(world)[f"0-{rank}"])
    assert len(world.reconcile().endings) == 3


def test_a_pod_that_was_replaced_cannot_join_the_others() -> None:
    world = world_of_groups()
    world.now += timedelta(minutes=5)
    del world.pods[names(world)["0-1"]]
    world.engine = lambda _: starting()  # the new rank does not get ready, and the others fall silent at the next request
    world.kubernetes()
    world.now += timedelta(seconds=10)
    assert len(world.reconcile().endings) == 3
    assert "-g0-1 was replaced: " in world.status["history"][0]["cause"]


def test_a_rank_that_leaves_lets_the_others_answer_their_last_requests() -> None:
    world = world_of_groups()
    world.now += timedelta(minutes=5)
    world.pods[names(world)["0-2"]]["metadata"]["deletionTimestamp"] = "2026-11-20T02:05:00Z"
    made = world.reconcile()
    assert [(each.pod["metadata"]["name"][-1], each.grace) for each in made.endings] == [("0", None), ("1", None)]
    assert "is leaving" in world.status["history"][0]["cause"]


def test_a_group_that_goes_anyway_is_not_started_anew() -> None:
    world = world_of_groups(replicas=2)
    world.now += timedelta(minutes=5)
    world.rank_ends(names(world)["1-2"])
    world.edit(replicas=1)
    assert world.reconcile().endings == ()


def test_ranks_that_fail_alike_are_started_alike_and_given_up_as_one_pod_is() -> None:
    world = world_of_groups()
    world.engine = lambda letter: ready() if letter == "A" else crashing()
    world.edit(engine__maxModelLen=8192)
    world.settle()
    assert world.state("B") == "Failed"
    assert world.route == "A"
    assert not any("GroupRestarted" in said for said in world.told())


def test_a_group_that_never_served_gets_a_moment_and_then_longer_and_longer_ones() -> None:
    world = World(engine=lambda _: starting())
    world.spec |= THREE
    world.settle()
    waited = []
    for _ in range(4):
        world.now += timedelta(seconds=60)
        world.rank_ends(names(world)["0-2"])
        begun = world.now
        while not (made := world.reconcile()).endings:
            assert made.requeue_after is not None
            world.now += made.requeue_after
        waited.append((world.now - begun).total_seconds())
        world.kubernetes()
    assert waited == [10, 10, 20, 40]
    assert world.condition("Degraded")[1] == "CrashLoop"
    assert "was started anew 3 times within an hour; chat-" in world.condition("Degraded")[2]


def test_a_new_revision_whose_groups_lose_ranks_again_and_again_is_given_up() -> None:
    world = world_of_groups()
    world.engine = lambda letter: ready() if letter == "A" else starting()
    world.edit(engine__maxModelLen=8192)
    world.settle()
    for _ in range(3):
        world.now += timedelta(seconds=60)
        world.rank_ends(next(name for name in world.pods if name.endswith("-g0-2") and world.letter(name.split("-")[1]) == "B"))
        world.wait(60)
    assert world.state("B") == "Failed"
    assert (world.route, world.serving()) == ("A", ["A"])


def test_traffic_goes_to_the_standby_while_the_only_group_starts_anew() -> None:
    world = World(companion=companion())
    world.spec |= THREE | {"standby": {"modelDeploymentRef": {"name": "chat-small"}}}
    world.settle()
    world.now += timedelta(minutes=5)
    world.rank_ends(names(world)["0-1"])
    world.engine = lambda _: starting()
    assert world.settle() == ["route chat-small"]
    assert RANK not in world.children[Ref("v1", "Service", "ai", "chat")]["spec"]["selector"], "the standby has single pods"


def test_traffic_goes_to_the_first_pods_of_a_standby_of_groups() -> None:
    world = World(companion=companion(grouped=True))
    world.spec |= {"standby": {"modelDeploymentRef": {"name": "chat-small"}}}
    world.settle()
    world.engine = lambda _: hung()
    assert world.settle() == ["route chat-small"]
    assert world.children[Ref("v1", "Service", "ai", "chat")]["spec"]["selector"][RANK] == "0"
    world.companion = None
    world.settle()
    assert world.children[Ref("v1", "Service", "ai", "chat")]["spec"]["selector"][RANK] == "0", "as it is, when nobody knows better"


def test_a_group_waits_for_gpus_and_is_not_taken_for_one_that_lost_a_rank() -> None:
    world = World(engine=lambda _: no_gpus())
    world.spec |= THREE
    world.settle()
    assert world.wait(600) == []
    assert not any("GroupRestarted" in said for said in world.told())


def test_the_policy_of_a_group_stays_until_its_pods_have_gone() -> None:
    world = world_of_groups(replicas=2)
    world.edit(replicas=1)
    gone = [(each.kind, each.name[-2:]) for each in world.reconcile().delete]
    assert gone == [("StatefulSet", "g1")]
    assert [(each.kind, each.name[-2:]) for each in world.reconcile().delete] == [("NetworkPolicy", "g1")]


def test_a_revision_of_groups_whose_record_was_deleted_is_read_from_what_runs() -> None:
    world = world_of_groups(replicas=2)
    before = {name: each for name, each in world.children.items() if name.kind == "ControllerRevision"}
    for name in before:
        del world.children[name]
    assert world.settle() == []
    assert (world.route, world.serving(), statefulsets(world)) == ("A", ["A", "A"], ["g0", "g1"])
    (name, each), *others = before.items()
    assert others == []
    assert world.children[name]["data"]["statefulset"] == each["data"]["statefulset"]


def test_a_revision_of_no_groups_is_remembered_as_one_of_no_pods_is_while_it_is_suspended() -> None:
    world = serving_world(standby={"modelDeploymentRef": {"name": "chat-small"}})
    world.companion = companion()
    world.engine = lambda _: crashing()
    world.settle()
    world.edit(**THREE)
    assert world.settle() == ["B: 1 pods", "B: 0 pods"]
    assert world.state("B") == "Failed"
    world.edit(suspend=True)
    assert world.settle() == []
    assert world.state("B") == "Failed"


@pytest.mark.parametrize("first", [True, False], ids=["the first revision", "a later one"])
def test_a_revision_of_groups_that_was_given_up_stays_so_when_somebody_deletes_its_record(*, first: bool) -> None:
    world = World() if first else serving_world()
    failing = "A" if first else "B"
    world.engine = lambda letter: refused() if letter == failing else ready()
    world.edit(**THREE)
    world.settle()
    assert world.state(failing) == "Failed"
    for name in [name for name in world.children if name.kind == "ControllerRevision"]:
        del world.children[name]
    assert world.settle() == []
    assert (world.state(failing), world.route) == ("Failed", "A")
    world.edit(engine__maxModelLen=8192)
    world.settle()
    assert world.condition("Ready")[0] == "True"
