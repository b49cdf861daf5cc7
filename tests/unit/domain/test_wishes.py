"""What a person asks for by annotation, and what counts as an edit of the spec."""

import pytest

from allod.api.modeldeploymentstatus import ModelDeploymentStatus
from unit.domain.simulation import World, hung, ready, refused, serving_world
from unit.domain.test_standby import world_with_standby


def given_up() -> World:
    """A serves; B was given up, and would serve now."""
    world = World()
    world.settle()
    world.engine = lambda letter: refused() if letter == "B" else ready()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    assert world.state("B") == "Failed"
    world.engine = lambda _: ready()
    world.events.clear()
    return world


@pytest.mark.parametrize(
    ("edit", "again"),
    [
        pytest.param({"replicas": 2}, False, id="replicas, by a person or an autoscaler"),
        pytest.param({"suspend": True}, False, id="suspend"),
        pytest.param({"rollout": {"bake": "0s", "progressDeadline": "2h"}}, True, id="more patience"),
        pytest.param({"engine__maxModelLen": 8192}, True, id="another revision"),
    ],
)
def test_only_an_edit_in_earnest_tries_again_what_failed(edit: dict[str, object], again: bool) -> None:  # noqa: FBT001  # a column
    world = given_up()
    world.edit(**edit)
    world.settle()
    assert (world.route != "A") is again


def test_an_edit_while_it_is_suspended_counts_when_the_pause_is_over() -> None:
    world = given_up()
    world.edit(suspend=True, rollout={"bake": "0s", "progressDeadline": "2h"})
    assert world.settle() == []
    world.edit(suspend=False)
    assert world.settle() == ["B: 1 pods", "route B", "A: gone"]


def test_a_status_of_an_older_operator_is_no_edit() -> None:
    world = given_up()
    del world.status["observedSpec"]
    assert world.settle() == []
    assert world.status["observedSpec"]


def test_another_try_is_told_with_its_cause() -> None:
    world = given_up()
    failed = next(name for name, letter in world.letters.items() if letter == "B")
    world.annotations["allod.dev/retry-revision"] = failed
    world.settle()
    assert world.told()[0] == "Normal RevisionRetried: revision B: by the annotation allod.dev/retry-revision"
    assert [step["action"] for step in world.status["history"]][:2] == ["TrafficMoved", "RevisionRetried"]


@pytest.mark.parametrize("wish", ["rollback-to", "retry-revision"])
def test_a_wish_for_a_revision_that_nobody_remembers_is_told(wish: str) -> None:
    world = given_up()
    world.edit(engine__maxModelLen=16384)
    world.settle()
    world.annotations[f"allod.dev/{wish}"] = "0badc0de"
    assert world.settle() == []
    status, reason, message = world.condition("Degraded")
    assert (status, reason) == ("True", "UnknownRevision")
    assert message.startswith(f"annotation allod.dev/{wish} names revision 0badc0de, which nobody remembers: there are ")
    del world.annotations[f"allod.dev/{wish}"]
    world.settle()
    assert world.condition("Degraded")[0] == "False"


def test_a_wish_to_return_that_names_another_revision_is_told() -> None:
    world = world_with_standby(health={"failover": {"recovery": "Manual"}})
    world.engine = lambda _: hung()
    world.settle()
    world.engine = lambda _: ready()
    world.annotations["allod.dev/return-traffic"] = "0badc0de"
    assert world.settle() == []
    home = world.status["activeRevision"]
    wrong = f"annotation allod.dev/return-traffic names revision 0badc0de, but the one that traffic would return to is {home}"
    assert world.condition("Degraded") == ("True", "UnknownRevision", wrong)
    world.annotations["allod.dev/return-traffic"] = home
    assert world.settle() == ["route A"]


@pytest.mark.parametrize("wish", ["rollback-to", "retry-revision", "return-traffic", "drill"])
def test_a_status_takes_whatever_a_person_wrote_into_an_annotation(wish: str) -> None:
    world = world_with_standby()
    world.annotations[f"allod.dev/{wish}"] = "x" * 5000
    world.wait(60)
    ModelDeploymentStatus.model_validate(world.status)
    assert world.settle() == []


def test_a_wish_that_cannot_be_followed_is_told_beside_what_is_worse() -> None:
    world = serving_world()
    world.edit(engine__args={"no-such-flag-at-all": "true"})
    world.annotations = {"allod.dev/retry-revision": "deadbeef"}
    world.settle()
    status, reason, message = world.condition("Degraded")
    assert (status, reason) == ("True", "UnknownFlag")
    assert "; annotation allod.dev/retry-revision names revision deadbeef, which nobody remembers" in message
