"""A revision that answers, and answers badly: what is made of broken objectives."""

from __future__ import annotations

from allod.domain.serving.health.windows import Window
from unit.domain.simulation import World

OBJECTIVES = {"slos": [{"name": "errors", "metric": "ErrorRatio", "threshold": "0.01", "window": "2m", "minRequests": 50}]}
BAD = {"errors": Window(120, full=True, requests=812, errors=35)}
GOOD = {"errors": Window(120, full=True, requests=812, errors=1)}
FEW = {"errors": Window(120, full=True, requests=49, errors=49)}


def baking() -> World:
    """A is good, B serves and bakes beside it."""
    world = World(windows=lambda _: GOOD)
    world.spec |= {"health": OBJECTIVES, "rollout": {"bake": "10m"}}
    world.wait(700)
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.events.clear()
    return world


def test_a_revision_that_breaks_an_objective_while_it_bakes_goes_back_after_its_patience() -> None:
    world = baking()
    world.windows = lambda letter: BAD if letter == "B" else GOOD
    assert world.wait(25) == [], "health.rollback.failAfter is 30s"
    assert world.wait(10) == ["route A", "B: 0 pods"]
    assert world.condition("Degraded") == ("True", "SLOErrors", "errors 0.043 > 0.010 over 2m, 812 requests")
    assert world.serving() == ["A"]


def test_what_is_over_within_the_patience_is_forgiven() -> None:
    world = baking()
    world.windows = lambda letter: BAD if letter == "B" else GOOD
    world.wait(20)
    world.windows = lambda _: GOOD
    world.wait(1000)
    assert world.route == "B"
    assert world.state("B") == "Good"


def test_too_few_requests_decide_nothing() -> None:
    world = baking()
    world.windows = lambda letter: FEW if letter == "B" else GOOD
    world.wait(1000)
    assert world.state("B") == "Good"


def test_a_good_revision_that_breaks_an_objective_later_is_told_and_stays() -> None:
    world = baking()
    world.wait(1000)
    world.windows = lambda _: BAD
    assert world.wait(600) == []
    assert world.condition("Degraded")[1] == "SLOErrors"
    assert world.condition("Ready")[0] == "True"
