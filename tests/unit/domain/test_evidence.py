"""What the operator hears by itself, and what it makes of silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from allod.domain.serving.health.evidence import blindness
from unit.domain.simulation import START, World, companion, heard

if TYPE_CHECKING:
    from allod.domain.serving.health.beat import Beat, State

HANG = "hung: no engine step for 3.0 s with 1 request in flight"
FAILS = "failed: a request for one token got status 500"


def pair() -> World:
    world = World(companion=companion())
    world.spec["standby"] = {"modelDeploymentRef": {"name": "chat-small"}}
    world.settle()
    world.events.clear()
    return world


@pytest.mark.parametrize(("words", "reason"), [(HANG, "EngineHung"), (FAILS, "EngineFails")])
def test_a_word_of_the_engine_moves_traffic_before_the_kubelet_noticed(words: str, reason: str) -> None:
    world = pair()
    world.hears = lambda letter: heard("Faulty", words, world.now) if letter == "A" else None
    assert world.settle() == ["route chat-small"]
    assert world.condition("Degraded")[1] == reason
    assert words in world.told()[0]


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


HERE, THERE = "n1", "n2"


@pytest.mark.parametrize(
    ("heard_of", "quiet", "why"),
    [
        pytest.param([(HERE, "Silent"), (HERE, "Serving"), (THERE, "Serving")], 0.3, "", id="one silent, the others are heard"),
        pytest.param([(HERE, "Silent"), (HERE, "Silent"), (THERE, "Serving")], 0.3, "", id="all of one node silent, another node is heard"),
        pytest.param([(HERE, "Silent"), (THERE, "Silent"), (THERE, "Serving")], 0.3, "", id="two are too few to be everybody"),
        pytest.param(
            [(HERE, "Silent"), (THERE, "Silent"), (THERE, "Unreachable"), (HERE, "Serving")],
            0.3,
            "3 of 4 pods on 2 nodes are silent at once: the way to them is likelier gone than they",
            id="most are silent",
        ),
        pytest.param(
            [(HERE, "Silent"), (HERE, "Serving"), (THERE, "Serving")],
            0.7,
            "none of 3 pods on 2 nodes was heard for 0.7 s: the way to them is likelier gone than they",
            id="the first silence, and nobody else was heard meanwhile",
        ),
        pytest.param([(HERE, "Silent"), (HERE, "Serving"), (HERE, "Serving")], 0.7, "", id="one node only: it may be the node"),
        pytest.param([(HERE, "Silent"), (HERE, "Gone"), (THERE, "Gone")], 0.7, "", id="a closed port was heard well enough"),
        pytest.param([(HERE, "Silent"), (THERE, "Serving")], 0.7, "", id="two pods are too few to be everybody"),
    ],
)
def test_silence_counts_unless_it_is_likelier_ours(heard_of: list[tuple[str, State]], quiet: float, why: str) -> None:
    assert blindness([(node, heard(state, "", START)) for node, state in heard_of], quiet) == why
