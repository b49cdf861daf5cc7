"""Which pods are ended at once, and when: only what hangs, and only when traffic is seen to have left it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from allod.domain.serving.health.listening import CONNECT, TICK
from unit.domain.simulation import World, heard, hung, ready
from unit.domain.test_standby import world_with_standby

if TYPE_CHECKING:
    from allod.domain.serving.health.beat import Beat, State


def test_a_pod_that_hangs_is_ended_when_traffic_went_back_to_another_revision() -> None:
    world = World()
    world.spec["rollout"] = {"bake": "10m"}
    world.settle()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    assert world.route == "B"
    world.hears = lambda letter: faulty(world) if letter == "B" else None
    world.engine = lambda letter: hung() if letter == "B" else ready()
    assert world.reconcile().endings == (), "never before the Service was seen to point elsewhere"
    assert world.route == "A"
    ended = world.reconcile().endings
    assert [world.letter(pod["metadata"]["labels"]["allod.dev/revision"]) for pod in (each.pod for each in ended)] == ["B"]
    assert [each.grace for each in ended] == [0]


def test_of_a_group_the_pod_that_hangs_is_ended_at_once_and_the_ranks_that_wait_for_it_keep_their_gpus_for_a_moment() -> None:
    world = world_with_standby(nodes=3, parallelism={"tensor": 3})
    (leader,) = (name for name in world.pods if name.endswith("-g0-0"))
    world.heard_of = {leader: faulty(world)}
    world.reconcile()
    assert world.route == "chat-small"
    assert [(each.pod["metadata"]["name"][-1], each.grace) for each in world.reconcile().endings] == [("0", 0), ("1", 1), ("2", 1)]


def faulty(world: World) -> Beat:
    return heard("Faulty", "1 request waits and no step was made for 31 s", world.now)


@pytest.mark.parametrize(
    ("state", "not_ready_after", "ended"),
    [
        pytest.param("Faulty", None, True, id="the engine says so"),
        pytest.param("Silent", None, True, id="connected, and no word"),
        pytest.param("Gone", 1, False, id="a dead process is started again by its kubelet"),
        pytest.param("Unreachable", None, False, id="nobody there hears it"),
        pytest.param("Unreachable", 3, True, id="its kubelet is there, and it takes no connection"),
        pytest.param("Unreachable", 10, False, id="that it is not ready is what a hasty Kubernetes says of a lost node"),
        pytest.param("Unreachable", 45, False, id="that it is not ready is what Kubernetes says of a lost node"),
    ],
)
def test_after_a_failover_what_hangs_is_ended(state: State, not_ready_after: int | None, ended: bool) -> None:  # noqa: FBT001  # a column
    world = world_with_standby()
    began = world.now
    world.hears = lambda letter: heard(state, "", began) if letter == "A" else None
    world.reconcile()
    assert world.route == "chat-small"
    if not_ready_after is not None:
        world.now += timedelta(seconds=not_ready_after)
        world.engine = lambda _: hung()
        world.kubernetes()
    world.now += timedelta(seconds=2)
    assert bool(world.reconcile().endings) is ended


def test_a_silent_pod_is_not_ended_before_it_is_known_whether_its_node_takes_connections() -> None:
    world = world_with_standby()
    began = world.now
    world.hears = lambda letter: heard("Silent", "", began) if letter == "A" else None
    world.reconcile()
    assert world.route == "chat-small"
    world.now = began + timedelta(seconds=CONNECT + TICK)
    assert world.reconcile().endings == ()
    world.now = began + timedelta(seconds=1)  # when it is looked at next
    assert world.reconcile().endings != ()
