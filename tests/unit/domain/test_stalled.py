"""Whether anybody has to act: the condition that tools which follow kstatus read."""

from __future__ import annotations

from unit.domain.simulation import World, hung, no_gpus, ready, refused
from unit.domain.test_standby import world_with_standby


def test_a_model_at_rest_waits_for_nobody_and_one_that_cannot_start_for_its_gpus() -> None:
    world = World(engine=lambda _: no_gpus())
    world.settle()
    assert world.condition("Stalled") == ("False", "AsExpected", "it goes on by itself when the cause is gone")
    world.engine = lambda _: ready()
    world.settle()
    assert world.condition("Stalled") == ("False", "AsExpected", "nothing waits for a person")


def test_a_revision_that_was_given_up_waits_for_an_edit_and_says_so() -> None:
    world = World()
    world.settle()
    world.engine = lambda letter: refused() if letter == "B" else ready()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    failed = world.status["desiredRevision"]
    todo = f"revision {failed} is not tried again by itself: edit the spec, or set the annotation allod.dev/retry-revision to {failed}"
    assert world.condition("Stalled") == ("True", "RevisionFailed", todo)
    world.edit(engine__maxModelLen=16384)
    world.settle()
    assert world.condition("Stalled")[0] == "False"


def test_a_flag_that_does_not_exist_waits_for_its_correction() -> None:
    world = World()
    world.settle()
    world.edit(engine__args={"swap-space": "4"})
    world.settle()
    assert world.condition("Stalled")[:2] == ("True", "UnknownFlag")


def test_traffic_that_came_back_too_often_waits_for_a_person() -> None:
    world = world_with_standby(health={"failover": {"holdFor": "10s"}})
    for _ in range(4):
        world.engine = lambda _: hung()
        world.settle()
        world.engine = lambda _: ready()
        world.wait(15)
    assert world.condition("Stalled")[:2] == ("True", "Flapping")
