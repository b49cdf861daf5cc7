"""One pod of several is lost: it takes no traffic, the others do."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from unit.domain.simulation import World, heard, hung

if TYPE_CHECKING:
    from allod.domain.serving.health.beat import State


def two() -> World:
    """A model of two pods at rest."""
    world = World()
    world.spec["replicas"] = 2
    world.settle()
    world.events.clear()
    return world


def labels(world: World) -> list[str]:
    return [pod["metadata"]["labels"]["allod.dev/traffic"] for _, pod in sorted(world.pods.items())]


def hear(world: World, number: int, state: State) -> None:
    name = sorted(world.pods)[number]
    world.heard_of[name] = heard(state, "no heartbeat for 1.2 s", world.now)


@pytest.mark.parametrize("state", ["Silent", "Unreachable", "Gone", "Faulty"])
def test_a_lost_pod_of_two_is_taken_out_and_comes_back_when_it_was_heard_for_five_seconds(state: State) -> None:
    world = two()
    hear(world, 0, state)
    assert world.settle() == []
    assert labels(world) == ["off", "on"]
    assert world.told()[1].startswith("Warning PodSidelined: chat-A-0 takes no traffic until it is heard again: no heartbeat for 1.2 s")
    hear(world, 0, "Serving")
    heard_at = world.now
    world.reconcile()
    assert labels(world) == ["off", "on"]
    assert world.reconcile().requeue_after == timedelta(seconds=5)
    world.now = heard_at + timedelta(seconds=5)
    world.reconcile()
    assert labels(world) == ["on", "on"]
    assert world.told()[-1].endswith("takes traffic again: it was heard for 5 s")


def test_the_last_pod_is_never_taken_out() -> None:
    world = two()
    hear(world, 0, "Silent")
    world.settle()
    hear(world, 1, "Silent")
    world.settle()
    assert labels(world) == ["on", "on"], "an empty Service makes clients wait"


def test_two_that_are_lost_in_one_look_do_not_take_each_other_out() -> None:
    world = two()
    hear(world, 0, "Silent")
    hear(world, 1, "Silent")
    world.settle()
    assert labels(world) == ["on", "on"]


def test_a_pod_that_is_out_serves_when_the_other_one_dies() -> None:
    world = two()
    hear(world, 0, "Silent")
    world.settle()
    hear(world, 0, "Serving")
    world.engine = lambda _: hung()
    world.settle()
    assert labels(world) == ["on", "on"]


def test_a_pod_that_nobody_listens_to_any_more_comes_back() -> None:
    world = two()
    hear(world, 0, "Silent")
    world.settle()
    world.heard_of.clear()
    world.settle()
    assert labels(world) == ["on", "on"]


def test_while_silence_may_be_ours_nobody_is_taken_out() -> None:
    world = two()
    world.blind = "none of 9 pods on 3 nodes was heard for 0.7 s"
    hear(world, 0, "Silent")
    world.settle()
    assert labels(world) == ["on", "on"]


def test_a_suspended_model_is_left_as_it_is() -> None:
    world = two()
    world.edit(suspend=True)
    hear(world, 0, "Silent")
    world.settle()
    assert labels(world) == ["on", "on"]


@pytest.mark.parametrize(("state", "before"), [("Unknown", False), ("Unreachable", False), ("Unknown", True)])
def test_a_new_leader_does_not_put_back_what_it_has_not_heard_yet(state: State, before: bool) -> None:  # noqa: FBT001  # a column
    world = two()
    hear(world, 0, "Silent")
    world.settle()
    world.heard_of[min(world.pods)] = heard(state, "not looked long enough", world.now, before=before)
    world.settle()
    assert labels(world) == ["off", "on"]


def test_a_suspended_model_does_not_count_a_pod_that_nobody_may_put_back() -> None:
    world = two()
    hear(world, 0, "Silent")
    world.settle()
    world.edit(suspend=True)
    hear(world, 0, "Serving")
    hear(world, 1, "Silent")
    world.settle()
    assert world.condition("Ready")[0] == "False"
