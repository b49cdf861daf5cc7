"""A new revision of which one pod or group serves and another never does: it is given up as if none did, and is not good before all do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from allod.domain.names import REVISION
from unit.domain.ranks import dated
from unit.domain.simulation import World, crashing, starting

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.domain.simulation import Status

DEADLINE, BAKE = 600, 120
GROUPS = {"nodes": 2, "parallelism": {"tensor": 2}}
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "groups, which come in turn": (GROUPS, {}, "-g1-0"),
    "pods one after the other": ({}, {"maxSurge": 1}, "-1"),
    "all pods at once": ({}, {}, "-1"),
}
"""More of the spec, of its rollout, and how the name of the leader of the second replica ends."""


class Half(World):
    """The second replica of B never gets ready."""

    bad = ""
    how: Callable[[], Status] = staticmethod(starting)

    def kubernetes(self) -> None:
        before = {name: pod.get("status") for name, pod in self.pods.items()}
        super().kubernetes()
        for name, pod in self.pods.items():
            is_b = self.letter(pod["metadata"]["labels"][REVISION]) == "B"
            if is_b and name.endswith(self.bad) and pod["spec"].get("nodeName"):
                pod["status"] = dated(self.how(), before.get(name) or {}, self.now)


def half(kind: str, how: Callable[[], Status] = starting, **rollout: Any) -> Half:
    """A has served for long, and B was just applied."""
    more, steps, bad = KINDS[kind]
    world = Half()
    world.bad, world.how = bad, how
    world.spec |= {**more, "replicas": 2, "rollout": {"bake": f"{BAKE}s", "progressDeadline": f"{DEADLINE}s", **steps, **rollout}}
    world.settle()
    world.wait(BAKE + 1)
    world.edit(engine__maxModelLen=32768)
    world.settle()
    return world


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_given_up_when_its_time_is_over(kind: str) -> None:
    world = half(kind)
    world.wait(DEADLINE + 1)
    assert world.condition("Degraded")[1:] == ("ProgressDeadline", "1 of 2 pods ready after 10m (rollout.progressDeadline)")
    assert (world.state("B"), world.serving()) == ("Failed", ["A", "A"])


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_given_up_when_what_does_not_serve_ends_again_and_again(kind: str) -> None:
    world = half(kind, crashing)
    world.wait(BAKE)
    assert world.condition("Degraded")[1] == "CrashLoop"
    assert (world.state("B"), world.serving()) == ("Failed", ["A", "A"])


@pytest.mark.parametrize("kind", ["groups, which come in turn", "pods one after the other"])
def test_it_is_not_good_before_the_other_half_serves_and_bakes_from_then_on(kind: str) -> None:
    world = half(kind)
    world.wait(DEADLINE - 60)
    assert world.state("B") == "Ready"
    world.bad = "nobody"
    world.settle()
    assert world.serving().count("B") == 2
    world.wait(BAKE - 10)
    assert world.state("B") == "Ready"
    world.wait(20)
    assert world.state("B") == "Good"


def test_nothing_is_taken_from_half_a_model_when_nobody_else_serves() -> None:
    world = half("groups, which come in turn", strategy="Recreate")
    world.wait(10 * DEADLINE)
    assert (world.state("B"), world.serving()) == ("Ready", ["B"])
