"""A Gateway whose controller has stopped sends as it did before: no pod that it may send to ends in silence, and everybody is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allod.domain.serving.canary.gateway import API
from unit.domain.simulation import World, accepted, crashing, ready
from unit.domain.test_canaries import ROLLOUT, Busy

if TYPE_CHECKING:
    from allod.domain.manifest import Manifest
    from allod.domain.serving.seen import Seen

HOURS = 4 * 3600


class Edge(World):
    """Routes have a generation, and their status says of which one it is."""

    stopped = False
    generations: tuple[int, int] = (0, 0)
    """Of the route, and of what its controller took in."""
    last: object = None

    @property
    def seen(self) -> Seen:
        self.look()
        return super().seen

    def kubernetes(self) -> None:
        self.look()
        super().kubernetes()

    def look(self) -> None:
        for route in self._kind("HTTPRoute"):
            newest, taken = self.generations
            newest += route["spec"] != self.last
            self.last = route["spec"]
            self.generations = newest, taken if self.stopped else newest
            route["metadata"]["generation"] = newest

    def says(self, route: Manifest) -> dict[str, Any]:
        told = accepted(route)
        for parent in told["parents"]:
            for each in parent["conditions"]:
                each["observedGeneration"] = self.generations[1]
        return told


def edge(strategy: str) -> Edge:
    world = Edge(apis=frozenset({API}))
    world.duel, world.gateway = Busy(world), world.says
    world.spec["rollout"] = {**ROLLOUT, "strategy": strategy}
    world.settle()
    world.wait(130)
    world.events.clear()
    return world


def test_what_a_deaf_gateway_may_send_to_stays_and_says_why() -> None:
    world = edge("Surge")
    world.stopped = True
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.wait(HOURS)
    assert (world.asked(), world.state("B")) == ({"A": 1, "B": 1}, "Good")
    status, reason, message = world.condition("RouteAccepted")
    assert (status, reason) == ("Unknown", "RouteNotFollowed")
    assert message.startswith("Gateway ai/edge has not taken in how the HTTPRoute chat sends for more than a minute")
    assert world.condition("Degraded")[:2] == ("True", "RouteNotFollowed")
    world.stopped = False
    world.settle()
    assert world.asked() == {"B": 1}
    assert world.condition("Degraded")[0] == "False"
    assert world.condition("RouteAccepted")[:2] == ("True", "Accepted")


def test_for_a_minute_nobody_is_told() -> None:
    world = edge("Surge")
    world.stopped = True
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.wait(50)
    assert (world.asked(), world.condition("RouteAccepted")[0]) == ({"A": 1, "B": 1}, "Unknown")
    assert world.condition("Degraded")[0] == "False", "only a minute of it is a trouble"


def test_a_revision_that_was_given_up_frees_its_gpus_all_the_same() -> None:
    world = edge("Canary")
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.stopped = True
    world.engine = lambda letter: crashing() if letter == "B" else ready()
    world.settle()
    assert world.asked() == {"A": 1, "B": 1}
    world.wait(61)
    assert (world.asked(), world.state("B")) == ({"A": 1, "B": 0}, "Failed")


def test_a_canary_stays_in_its_step() -> None:
    world = edge("Canary")
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.stopped = True
    world.wait(HOURS)
    assert world.weights == {"A": 50, "B": 50}
    assert world.condition("Progressing")[2].endswith("until the Gateway has taken this step in")
    world.stopped = False
    world.settle()
    assert world.weights == {"B": 100}
