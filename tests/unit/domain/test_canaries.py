"""Whole canaries: a new revision gets a part of the traffic, more of it, and all of it, or nothing any more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from allod.domain.serving.canary.canary import ERRORS
from allod.domain.serving.canary.contest import Duel
from allod.domain.serving.canary.gateway import API
from allod.domain.serving.health.counts import Counts
from unit.domain.simulation import World, companion, crashing, hung, ready, refused, serving_world, starting

if TYPE_CHECKING:
    from datetime import datetime

CANARY = {"parentRef": {"name": "edge"}, "steps": [{"weight": 5, "hold": "5m"}, {"weight": 50, "hold": "10m"}]}
MOMENT = 4
"""Seconds that proxies of a Gateway get to follow its controller."""
ROLLOUT: dict[str, Any] = {"strategy": "Canary", "bake": "2m", "canary": CANARY}


def compared(new: str, old: str, requests: int = 200, failed: int = 0) -> Duel | None:
    duel = Duel(new, old, (ERRORS,))
    return duel.after(Counts({"answered": requests - failed, "failed": failed}), Counts({"answered": 2000.0})) if requests else duel


@dataclass
class Busy:
    """Each second the revision on trial answers a request, and as long as somebody counts them they are compared."""

    world: World
    began: dict[str, datetime] = field(default_factory=dict)
    counted_until: datetime | None = None

    def __call__(self, new: str, old: str) -> Duel | None:
        now = min(self.world.now, self.counted_until or self.world.now)
        return compared(new, old, int((now - self.began.setdefault(new, now)).total_seconds()))


def canary_world(**canary: Any) -> World:
    """A serves at rest, through the Gateway too, and plenty of requests are compared."""
    world = World(apis=frozenset({API}))
    world.duel = Busy(world)
    world.spec["rollout"] = {**ROLLOUT, "canary": CANARY | canary}
    world.settle()
    world.wait(130)
    world.events.clear()
    return world


def test_outside_a_canary_the_gateway_sends_everything_to_the_active_revision() -> None:
    world = canary_world()
    assert world.weights == {"A": 100}
    assert world.condition("RouteAccepted")[:2] == ("True", "Accepted")
    assert world.status["traffic"]["weights"] == [{"name": world.status["activeRevision"], "weight": 100}]
    assert "canary" not in world.status


def test_a_good_revision_gets_more_step_by_step_and_then_everything() -> None:
    world = canary_world()
    world.edit(engine__maxModelLen=32768)
    assert world.settle() == ["B: 1 pods", "gateway A 95, B 5"]
    assert world.route == "A", "plain clients of the Service stay with the active revision"
    assert world.condition("Progressing")[1] == "Canary"
    assert world.status["canary"]["step"] == 1
    assert world.wait(310) == ["gateway A 50, B 50"]
    assert world.wait(610) == ["route B", "gateway B 100"]
    assert world.wait(130) == ["A: gone"]
    assert world.state("B") == "Good"
    assert world.told() == [
        "Normal RevisionCreated: revision B: engine.maxModelLen 16384 -> 32768",
        "Normal CanaryStep: A -> B: 5 percent of the requests, step 1 of 2",
        "Normal CanaryStep: A -> B: held 5m, 300 requests compared: 50 percent of the requests, step 2 of 2",
        "Normal TrafficMoved: A -> B: held 2 steps, 900 requests compared; 1 of 1 pods ready",
        "Normal RevisionGood: revision B: it served for 2m",
    ]
    assert "canary" not in world.status


def test_a_worse_revision_is_given_up_and_gets_nothing_any_more() -> None:
    world = canary_world()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.duel = lambda new, old: compared(new, old, failed=30)
    assert world.wait(MOMENT) == ["gateway A 100", "B: 0 pods"], "its pods go when the traffic has"
    assert world.state("B") == "Failed"
    assert world.route == "A"
    assert world.condition("Ready")[0] == "True"
    status, reason, message = world.condition("Degraded")
    assert (status, reason) == ("True", "CanaryErrors")
    assert message.startswith("errors 0.150 (30 of 200) against 0.000 (0 of 2000) of ")
    assert any(line.startswith("Warning RevisionFailed: revision B was given up: errors 0.150") for line in world.told())
    world.duel = lambda _new, _old: None
    assert world.wait(3600) == [], "it is not tried again by itself"


def test_a_revision_that_is_not_ready_gets_no_traffic_and_loses_what_it_had() -> None:
    world = canary_world()
    does = [starting()]
    world.engine = lambda letter: does[0] if letter == "B" else ready()
    world.edit(engine__maxModelLen=32768)
    assert world.settle() == ["B: 1 pods"]
    does[0] = ready()
    assert world.settle() == ["gateway A 95, B 5"]
    world.wait(200)
    does[0] = starting() | {"reason": "NodeLost"}
    steps = world.settle()
    assert steps[0] == "gateway A 100"


@pytest.mark.parametrize(("does", "seconds"), [(hung, 31), (crashing, 0)], ids=["it does not come back", "its engine crashes"])
def test_a_revision_that_dies_on_trial_loses_its_traffic_at_once_and_is_given_up(does: Any, seconds: int) -> None:
    world = canary_world()
    broken = [False]
    world.engine = lambda letter: does() if letter == "B" and broken[0] else ready()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    broken[0] = True
    world.reconcile()
    world.kubernetes()
    world.reconcile()
    assert world.weights == {"A": 100}
    world.wait(seconds)
    world.settle()
    assert world.state("B") == "Failed"
    assert world.serving() == ["A"]


def test_a_revision_that_cannot_start_gets_nothing() -> None:
    world = canary_world()
    world.engine = lambda letter: refused() if letter == "B" else ready()
    world.edit(engine__maxModelLen=1_000_000)
    assert world.settle() == ["B: 1 pods", "B: 0 pods"]
    assert world.weights == {"A": 100}


def test_an_edit_back_takes_the_traffic_first_and_the_pods_then() -> None:
    world = canary_world()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.edit(engine__maxModelLen=16384)
    assert world.settle() == ["gateway A 100"]
    world.wait(MOMENT)
    assert world.asked() == {"A": 1}


def test_pods_end_when_the_gateway_was_told_that_their_share_is_gone() -> None:
    world, told = canary_world(), [1]
    world.gateway = lambda route: {
        "parents": [{"parentRef": each, "conditions": _observed(told[0])} for each in route["spec"]["parentRefs"]]
    }
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.edit(engine__maxModelLen=16384)
    world.reconcile()
    route = next(child for ref, child in world.children.items() if ref.kind == "HTTPRoute")
    route["metadata"]["generation"] = 2
    assert world.weights == {"A": 100}
    world.reconcile()
    assert world.serving() == ["A", "B"], "the Gateway may still send to it"
    told[0] = 2
    world.kubernetes()
    assert world.wait(MOMENT) == ["B: gone"]


def _observed(generation: int) -> list[dict[str, Any]]:
    return [{"type": kind, "status": "True", "observedGeneration": generation} for kind in ("Accepted", "ResolvedRefs")]


def test_a_third_revision_waits_until_the_traffic_of_the_second_is_back() -> None:
    world = canary_world()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.edit(engine__maxModelLen=8192)
    assert world.wait(MOMENT) == ["gateway A 100", "C: 1 pods", "B: gone", "gateway A 95, C 5"]


def test_when_the_active_revision_dies_the_one_on_trial_stands_in_at_once_and_takes_over_later() -> None:
    world = canary_world()
    dead = [False]
    world.engine = lambda letter: hung() if letter == "A" and dead[0] else ready()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    dead[0] = True
    assert world.settle() == ["gateway B 100"]
    assert "Normal CanaryStandsIn: A -> B: no pod of the active revision serves: all requests of the Gateway" in world.told()
    dead[0] = False
    assert world.settle() == ["gateway A 95, B 5"], "a pod that was silent for a moment promotes nobody"
    assert world.status["canary"]["step"] == 1
    dead[0] = True
    assert world.settle() == ["gateway B 100"]
    assert world.wait(31)[:1] == ["route B"]


def test_a_failover_takes_the_gateway_along() -> None:
    world = canary_world()
    world.companion = companion()
    world.edit(standby={"modelDeploymentRef": {"name": "chat-small"}})
    world.settle()
    world.engine = lambda _letter: hung()
    assert world.settle() == ["route chat-small", "gateway chat-small-5ba11000 100"]
    assert world.status["traffic"]["weights"] == [{"name": "chat-small", "weight": 100}]


def test_without_the_gateway_api_no_pods_are_started_and_a_sentence_says_why() -> None:
    world = canary_world()
    world.apis = frozenset()
    world.edit(engine__maxModelLen=32768)
    assert "gateway A 95, B 5" not in world.settle()
    assert world.serving() == ["A"]
    for kind in ("RouteAccepted", "Degraded"):
        assert world.condition(kind)[1:] == (
            "GatewayAPIMissing",
            "the cluster does not know the kind HTTPRoute (gateway.networking.k8s.io/v1): install the Gateway API and a controller for it",
        )
    world.apis = frozenset({API})
    assert world.settle() == ["gateway A 100", "B: 1 pods", "gateway A 95, B 5"]


def test_a_gateway_that_refuses_the_route_stops_the_canary() -> None:
    world = canary_world()
    no = [{"type": "Accepted", "status": "False", "reason": "NotAllowedByListeners", "message": "no listener takes it"}]
    world.gateway = lambda route: {"parents": [{"parentRef": route["spec"]["parentRefs"][0], "conditions": no}]}
    world.kubernetes()
    world.edit(engine__maxModelLen=32768)
    assert world.settle() == ["B: 0 pods"]
    assert world.condition("RouteAccepted") == (
        "False",
        "NotAllowedByListeners",
        "Gateway ai/edge does not send by the HTTPRoute: no listener takes it",
    )


def test_a_route_that_nobody_takes_is_said() -> None:
    world = World(apis=frozenset({API}), gateway=lambda _: {})
    world.spec["rollout"] = ROLLOUT
    world.settle()
    assert world.condition("RouteAccepted")[:2] == ("Unknown", "RouteNotTaken")
    assert world.condition("Ready")[0] == "True"


def test_a_person_who_wants_an_older_revision_gets_it_at_once() -> None:
    world = canary_world()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.wait(310 + 610 + 130)
    assert world.route == "B"
    first = next(name for name, letter in world.letters.items() if letter == "A")
    world.annotations = {"allod.dev/rollback-to": first}
    assert world.wait(MOMENT) == ["A: 1 pods", "route A", "gateway A 100", "B: gone"]


def test_another_strategy_gets_everything_through_the_gateway_too() -> None:
    world = serving_world(rollout={"strategy": "Surge", "bake": "0s", "canary": {"parentRef": {"name": "edge"}}})
    world.apis = frozenset({API})
    world.settle()
    world.edit(engine__maxModelLen=32768)
    assert world.settle() == ["B: 1 pods", "route B", "gateway B 100"]
    world.wait(MOMENT)
    assert world.asked() == {"B": 1}
    world.edit(rollout={"bake": "0s"})
    world.settle()
    assert world.weights == {}, "without a Gateway there is no route"


def test_fewer_steps_than_it_has_taken_are_the_last_of_them() -> None:
    world = canary_world()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.wait(310)
    world.edit(rollout__canary__steps=[{"weight": 20, "hold": "5m"}])
    assert world.settle() == ["gateway A 80, B 20"]
    assert world.wait(310) == ["route B", "gateway B 100"]


def test_a_suspended_model_keeps_its_shares_and_goes_on_where_it_was() -> None:
    world = canary_world()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.wait(310)
    world.edit(suspend=True)
    world.settle()
    assert world.weights == {"A": 50, "B": 50}
    assert [each["weight"] for each in world.status["traffic"]["weights"]] == [50, 50]
    world.edit(suspend=False)
    assert world.settle() == []
    assert world.status["canary"]["step"] == 2


def test_what_a_suspended_canary_loses_is_told_once_and_done_when_the_pause_is_over() -> None:
    world = canary_world()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.edit(suspend=True)
    world.settle()
    world.events.clear()
    world.duel = lambda new, old: compared(new, old, failed=30)
    assert world.settle() == []
    errors = "errors 0.150 (30 of 200) against 0.000 (0 of 2000) of A, 1 percent more are allowed"
    lost = f"Warning RevisionFailed: revision B was given up: {errors}"
    assert world.told() == [lost]
    world.edit(suspend=False)
    assert world.wait(MOMENT) == ["gateway A 100", "B: 0 pods"]
    assert world.told() == [lost]


def test_a_lost_status_begins_the_canary_again() -> None:
    world = canary_world()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.wait(310)
    assert world.weights == {"A": 50, "B": 50}
    world.lose_status()
    world.settle()
    assert world.weights == {"A": 95, "B": 5}


def test_an_active_revision_that_is_away_for_a_moment_promotes_nobody_though_a_standby_answers() -> None:
    world = canary_world()
    world.companion = companion()
    world.edit(standby={"modelDeploymentRef": {"name": "chat-small"}}, engine__maxModelLen=32768)
    world.settle()
    world.wait(200)
    world.engine = lambda letter: hung() if letter == "A" else ready()
    world.settle()
    assert world.route == "chat-small"
    world.engine = lambda _: ready()
    world.wait(400)
    assert (world.route, world.weights) == ("A", {"A": 95, "B": 5})
    assert "CanaryStandsIn" not in [step["action"] for step in world.status["history"]]


def test_a_model_that_is_put_to_sleep_in_a_canary_wakes_in_the_same_canary() -> None:
    world = canary_world()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.edit(replicas=0)
    world.settle()
    assert world.route == "A"
    world.edit(replicas=1)
    world.settle()
    assert (world.route, world.weights) == ("A", {"A": 95, "B": 5})
