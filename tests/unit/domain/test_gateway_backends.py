"""Whom the HTTPRoute lists: each revision with pods, so that no proxy has to learn of it and of its weight in one moment."""

from __future__ import annotations

from allod.domain.manifest import Ref
from unit.domain.simulation import World, ready, starting
from unit.domain.test_canaries import MOMENT, canary_world

ROUTE = Ref("gateway.networking.k8s.io/v1", "HTTPRoute", "ai", "chat")


def listed(world: World) -> dict[str, int]:
    names = {f"chat-{revision}": letter for revision, letter in world.letters.items()}
    return {names[each["name"]]: each["weight"] for each in world.children[ROUTE]["spec"]["rules"][0]["backendRefs"]}


def test_a_revision_on_trial_is_listed_while_it_starts_and_until_its_pods_are_gone() -> None:
    world, does = canary_world(), [starting()]
    world.engine = lambda letter: does[0] if letter == "B" else ready()
    assert listed(world) == {"A": 100}
    world.edit(engine__maxModelLen=32768)
    world.settle()
    assert listed(world) == {"A": 100, "B": 0}
    does[0] = ready()
    world.settle()
    assert listed(world) == {"A": 95, "B": 5}
    world.edit(engine__maxModelLen=16384)
    world.reconcile()
    assert listed(world) == {"A": 100, "B": 0}
    world.wait(MOMENT)
    assert (listed(world), world.asked()) == ({"A": 100}, {"A": 1})


def test_the_old_revision_is_listed_while_the_new_one_bakes() -> None:
    world = canary_world()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.wait(310 + 610)
    assert listed(world) == {"B": 100, "A": 0}
    world.wait(130)
    assert listed(world) == {"B": 100}
