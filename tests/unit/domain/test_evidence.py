"""What the operator hears by itself, and what it makes of silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from unit.domain.simulation import START, World, companion, heard

if TYPE_CHECKING:
    from allod.domain.serving.beat import Beat, State

HANG = "no engine step for 3.0 s with 1 request in flight"


def pair() -> World:
    world = World(companion=companion())
    world.spec["standby"] = {"modelDeploymentRef": {"name": "chat-small"}}
    world.settle()
    world.events.clear()
    return world


def test_a_word_of_the_engine_moves_traffic_before_the_kubelet_noticed() -> None:
    world = pair()
    world.hears = lambda letter: heard("Faulty", HANG, world.now) if letter == "A" else None
    assert world.settle() == ["route chat-small"]
    assert world.condition("Degraded")[1] == "EngineHung"
    assert HANG in world.told()[0]


@pytest.mark.parametrize(
    ("state", "before", "moves"),
    [
        ("Faulty", True, True),
        ("Gone", True, True),
        ("Silent", True, True),
        ("Unreachable", True, True),
        ("Silent", False, False),
        ("Unreachable", False, False),
        ("Unknown", True, False),
        ("Starting", True, False),
        ("Draining", True, False),
        ("Serving", True, False),
    ],
)
def test_what_is_heard_of_the_only_pod_moves_traffic_or_not(state: State, before: bool, moves: bool) -> None:  # noqa: FBT001  # a table's columns
    world = pair()
    beat = heard(state, "as heard", START, before=before)
    world.hears = lambda letter: beat if letter == "A" else None
    assert world.settle() == (["route chat-small"] if moves else [])


def test_while_most_are_silent_silence_says_nothing_and_a_word_does() -> None:
    world = pair()
    world.blind = "12 of 14 pods on 3 nodes fell silent within 1 s"
    world.hears = lambda letter: heard("Silent", "no heartbeat for 1.2 s", world.now) if letter == "A" else None
    assert world.settle() == []
    world.hears = lambda letter: heard("Faulty", HANG, world.now) if letter == "A" else None
    assert world.settle() == ["route chat-small"]


def test_a_standby_that_is_not_heard_gets_no_traffic() -> None:
    world = pair()

    def hears(letter: str) -> Beat | None:
        return heard("Gone", "connection refused twice", START) if letter in ("A", "standby") else None

    world.hears = hears
    assert world.settle() == []
    assert world.condition("StandbyReady")[:2] == ("False", "StandbyNotReady")


def test_traffic_returns_when_both_ears_and_kubelet_have_heard_it_for_long() -> None:
    world = pair()
    world.hears = lambda letter: heard("Silent", "no heartbeat for 1.2 s", world.now) if letter == "A" else None
    world.settle()
    back = world.now
    world.hears = lambda letter: heard("Serving", "well", back) if letter == "A" else None
    assert world.wait(290) == []
    assert world.wait(20) == ["route A"]
