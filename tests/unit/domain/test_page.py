from __future__ import annotations

from typing import Any

from unit.domain.simulation import World, companion, crashing, hung, ready, serving_world


def pages(world: World) -> list[str]:
    """Causes in the history, oldest first."""
    return [step["cause"] for step in reversed(world.status["history"]) if step["action"] == "Paged"]


def away(**health: Any) -> World:
    """Its pods hang, and its standby answers."""
    world = serving_world(standby={"modelDeploymentRef": {"name": "chat-small"}}, health=health)
    world.companion = companion()
    world.settle()
    world.engine = lambda _: hung()
    world.settle()
    assert world.route == "chat-small"
    return world


def test_a_model_that_stays_on_its_standby_calls_a_person_once() -> None:
    world = away()
    world.wait(14 * 60)
    assert pages(world) == []
    world.wait(2 * 60)
    assert pages(world) == [
        "the standby has answered for 15m: 0 of 1 pods of revision A serve".replace("A", world.status["activeRevision"])
    ]
    world.wait(3600)
    assert len(pages(world)) == 1
    assert [line for line in world.told() if "Paged" in line] == [
        "Warning Paged: a person is needed: the standby has answered for 15m: 0 of 1 pods of revision A serve"
    ]


def test_one_that_came_back_calls_again_when_it_is_lost_again() -> None:
    world = away(page={"after": "1m"}, failover={"holdFor": "10s"})
    world.wait(120)
    world.engine = lambda _: ready()
    world.wait(60)
    assert (world.route, len(pages(world))) == ("A", 1)
    world.engine = lambda _: hung()
    world.wait(120)
    assert len(pages(world)) == 2


def test_a_model_without_a_standby_calls_after_two_minutes_without_an_answer() -> None:
    world = serving_world()
    world.engine = lambda _: crashing()
    world.wait(100)
    assert pages(world) == []
    world.wait(60)
    (cause,) = pages(world)
    assert cause.startswith("nobody has answered for 2m: chat-")


def test_a_standby_that_fails_too_calls_once_more() -> None:
    world = away(page={"after": "5m"})
    world.wait(400)
    assert len(pages(world)) == 1
    world.companion = companion(up=0)
    world.wait(400)
    assert [cause.partition(" for ")[0] for cause in pages(world)] == ["the standby has answered", "nobody has answered"]


def test_what_is_meant_to_be_calls_nobody() -> None:
    asleep = serving_world(replicas=0)
    asleep.wait(3600)
    starting = World(engine=lambda _: hung())
    starting.wait(3600)
    assert pages(asleep) == pages(starting) == []


def test_a_suspended_model_calls_nobody_by_itself() -> None:
    world = away()
    world.edit(suspend=True)
    world.wait(3600)
    assert pages(world) == []
