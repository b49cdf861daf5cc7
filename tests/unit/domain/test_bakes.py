"""A new revision has to hold before the old one goes, and the old one takes over when it does not."""

from __future__ import annotations

from typing import Any

import pytest

from allod.domain.serving.health.measurement import Measurement
from unit.domain.simulation import World, crashing, hung, no_gpus, ready, starting


def baking(**spec: Any) -> World:
    """A is good and at rest; B serves and bakes for two minutes beside the pods of A."""
    world = World()
    world.spec["rollout"] = {"bake": "2m"}
    world.spec |= spec
    world.wait(180)
    world.edit(engine__maxModelLen=32768)
    assert "route B" in world.settle()
    world.events.clear()
    return world


def test_the_old_pods_stay_until_the_new_revision_is_good() -> None:
    world = baking()
    assert world.serving() == ["A", "B"]
    assert world.state("B") == "Ready"
    assert world.wait(100) == []
    assert world.wait(40) == ["A: gone"]
    assert world.state("B") == "Good"
    assert world.told() == ["Normal RevisionGood: revision B: it served for 2m"]


@pytest.mark.parametrize(
    "blind",
    [Measurement("Prometheus does not answer"), Measurement(known=("chat-a-0",), missing=("chat-b-0",))],
    ids=["away", "not scraped"],
)
def test_a_revision_is_not_good_while_its_objectives_cannot_be_judged(blind: Measurement) -> None:
    world = baking()
    world.measurement = blind
    assert world.wait(3600) == []
    assert (world.state("B"), world.condition("Measured")[0]) == ("Ready", "False")
    world.measurement = Measurement(known=("chat-a-0", "chat-b-0"))
    assert world.settle() == ["A: gone"]
    assert world.state("B") == "Good"


def test_a_revision_that_loses_its_pods_while_it_bakes_is_rolled_back_at_once() -> None:
    world = baking()
    world.engine = lambda letter: hung() if letter == "B" else ready()
    assert world.settle() == ["route A", "B: 0 pods"]
    assert world.state("B") == "Failed"
    assert world.condition("Ready")[0] == "True"
    assert world.condition("Degraded")[:2] == ("True", "NoReadyPod")
    assert world.told()[0] == "Warning RevisionFailed: revision B was given up: 0 of 1 pods ready within its bake time"
    assert world.told()[1].startswith("Warning RolledBack: B -> A: 0 of 1 pods ready within its bake time")
    assert world.wait(3600) == [], "nothing is tried again by itself"


def test_a_revision_that_was_good_is_not_rolled_back() -> None:
    world = baking()
    world.wait(180)
    world.engine = lambda letter: hung() if letter == "B" else ready()
    assert world.settle() == []
    assert world.state("B") == "Unavailable"


def test_a_rollback_to_pods_that_are_gone_waits_for_them_and_for_its_patience() -> None:
    world = baking(rollout={"bake": "2m", "strategy": "Recreate"})
    assert world.serving() == ["B"]
    world.engine = lambda letter: hung() if letter == "B" else ready()
    assert world.settle() == []
    assert world.wait(40) == ["B: 0 pods", "A: 0 pods", "A: 1 pods", "route A"]
    assert world.serving() == ["A"]


def test_a_revision_that_comes_back_within_the_patience_goes_on_baking() -> None:
    world = baking(rollout={"bake": "2m", "strategy": "Recreate"})
    world.engine = lambda letter: hung() if letter == "B" else ready()
    world.wait(20)
    world.engine = lambda _: ready()
    world.wait(20)
    assert world.route == "B"
    world.wait(120)
    assert world.state("B") == "Good"


def test_a_crash_loop_within_the_bake_time_is_rolled_back() -> None:
    world = baking()
    world.engine = lambda letter: crashing() if letter == "B" else ready()
    world.settle()
    assert world.route == "A"
    assert world.condition("Degraded")[1] == "CrashLoop"


def test_pods_that_lose_their_node_are_not_the_revisions_fault() -> None:
    world = baking()
    world.engine = lambda letter: no_gpus() if letter == "B" else ready()
    world.settle()
    assert world.route == "A"
    assert world.state("B") != "Failed"
    world.engine = lambda _: ready()
    world.settle()
    assert world.route == "B"


def test_a_new_edit_while_the_last_one_bakes_keeps_what_serves() -> None:
    world = baking()
    world.edit(engine__maxModelLen=8192)
    assert world.settle() == ["C: 1 pods", "A: gone", "route C"]
    assert world.serving() == ["B", "C"]
    world.engine = lambda letter: hung() if letter == "C" else ready()
    assert world.settle() == ["route B", "C: 0 pods"]


def test_a_correction_of_a_failed_revision_is_on_its_way_forward() -> None:
    world = baking()
    world.engine = lambda letter: hung() if letter == "B" else ready()
    world.settle()
    world.edit(engine__maxModelLen=8192)
    assert world.settle() == ["C: 1 pods", "B: gone", "route C"]


def test_a_revision_that_was_given_up_is_tried_again_once_for_each_wish() -> None:
    world = baking()
    world.engine = lambda letter: hung() if letter == "B" else ready()
    world.settle()
    failed = next(name for name, letter in world.letters.items() if letter == "B")
    world.annotations["allod.dev/retry-revision"] = failed
    world.settle()
    assert world.state("B") != "Failed"
    world.engine = lambda _: ready()
    assert world.settle() == ["route B"]
    world.engine = lambda letter: hung() if letter == "B" else ready()
    assert world.settle() == ["route A", "B: 0 pods"]
    assert world.settle() == [], "the wish was followed"


def test_a_person_may_go_back_by_hand_until_the_spec_changes() -> None:
    world = baking()
    world.wait(180)
    old = next(name for name, letter in world.letters.items() if letter == "A")
    world.annotations["allod.dev/rollback-to"] = old
    assert world.settle() == ["A: 1 pods", "route A", "B: gone"]
    assert world.condition("Degraded")[:2] == ("True", "RolledBackByHand")
    assert world.status["rolledBack"] == {"to": old, "spec": world.status["observedSpec"]}
    world.wait(180)
    world.edit(replicas=2)
    assert world.settle() == ["A: 2 pods"], "more pods of what a person chose"
    world.edit(replicas=1)
    world.edit(engine__maxModelLen=8192)
    world.settle()
    assert world.route == "C"
    assert world.condition("Degraded")[0] == "False"


def test_a_wish_for_what_the_spec_says_anyway_is_no_rollback() -> None:
    world = baking()
    world.annotations["allod.dev/rollback-to"] = world.status["activeRevision"]
    world.settle()
    assert world.condition("Degraded")[0] == "False"


@pytest.mark.parametrize(
    ("surge", "steps"),
    [
        (1, ["B: 1 pods", "A: 2 pods", "B: 2 pods", "route B", "A: 1 pods", "B: 3 pods", "A: gone"]),
        (3, ["B: 3 pods", "route B", "A: gone"]),
        (None, ["B: 3 pods", "route B", "A: gone"]),
    ],
)
def test_replicas_are_exchanged_in_steps_of_the_surge(surge: int | None, steps: list[str]) -> None:
    world = World(gpus=3 + (surge or 3))
    world.spec |= {"replicas": 3, "rollout": {"bake": "0s"} | ({"maxSurge": surge} if surge else {})}
    world.settle()
    world.edit(engine__maxModelLen=32768)
    assert world.settle() == steps


def test_a_revision_that_does_not_serve_by_its_deadline_is_given_up() -> None:
    world = World()
    world.spec["rollout"] = {"bake": "0s", "progressDeadline": "10m"}
    world.settle()
    world.engine = lambda letter: starting() if letter == "B" else ready()
    world.edit(engine__maxModelLen=32768)
    assert world.settle() == ["B: 1 pods"]
    assert world.wait(590) == []
    assert world.wait(30) == ["B: 0 pods"]
    assert world.condition("Degraded")[:2] == ("True", "ProgressDeadline")
    assert "0 of 1 pods ready after 10m (rollout.progressDeadline)" in world.condition("Degraded")[2]


def test_waiting_for_gpus_is_not_late() -> None:
    world = World(gpus=1)
    world.spec["rollout"] = {"bake": "0s", "progressDeadline": "10m"}
    world.settle()
    world.edit(engine__maxModelLen=32768)
    world.wait(1200)
    assert world.state("B") != "Failed"


def test_the_deadline_begins_when_there_are_gpus() -> None:
    world = World(gpus=1)
    world.spec["rollout"] = {"bake": "0s", "progressDeadline": "10m"}
    world.settle()
    world.engine = lambda letter: starting() if letter == "B" else ready()
    world.edit(engine__maxModelLen=32768)
    world.wait(1200)
    world.gpus = 2
    world.wait(300)
    assert world.state("B") == "Starting"
    world.wait(400)
    assert world.state("B") == "Failed"


def test_recreate_ends_the_old_pods_first() -> None:
    world = World(gpus=1)
    world.spec["rollout"] = {"bake": "0s", "strategy": "Recreate"}
    world.settle()
    world.edit(engine__maxModelLen=32768)
    assert world.settle() == ["A: 0 pods", "B: 0 pods", "B: 1 pods", "route B", "A: gone"]


def test_a_lost_status_makes_what_serves_alone_good_again() -> None:
    world = baking()
    world.wait(180)
    world.lose_status()
    world.settle()
    assert world.state("B") == "Good"


@pytest.mark.parametrize("refused", ["a flag that vLLM does not know", "a name that is taken"])
def test_an_edit_that_is_refused_leaves_the_way_back_open(refused: str) -> None:
    world = baking()
    if refused == "a name that is taken":
        world.with_neighbour("older", "2026-11-20T00:00:00Z", "taken")
        world.edit(model__servedName="taken")
    else:
        world.edit(engine__args={"no-such-flag-at-all": "true"})
    assert world.settle() == []
    assert world.serving() == ["A", "B"]
    world.engine = lambda letter: crashing() if letter == "B" else ready()
    assert world.settle() == ["route A", "B: gone"]
    assert world.condition("Ready")[0] == "True"
    assert world.told()[-1].startswith("Warning RolledBack: B -> A")
