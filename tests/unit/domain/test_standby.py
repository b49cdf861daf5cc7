from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from allod.domain.conditions import timestamp
from allod.domain.manifest import Ref
from unit.domain.documents import copied
from unit.domain.simulation import World, companion, hung, ready, starting

STANDBY = {"standby": {"modelDeploymentRef": {"name": "chat-small"}}}


def world_with_standby(**spec: Any) -> World:
    """A at rest, with a standby that is ready."""
    world = World(companion=companion())
    world.spec |= STANDBY | spec
    world.settle()
    world.events.clear()
    return world


def test_a_standby_that_is_ready_changes_nothing() -> None:
    world = world_with_standby()
    assert world.settle() == []
    assert world.route == "A"
    assert world.condition("StandbyReady") == ("True", "Serving", "1 pod of chat-small could answer")
    assert world.condition("FailedOver")[:2] == ("False", "AtHome")


def test_traffic_goes_to_the_standby_when_no_pod_serves_and_returns_when_the_model_held() -> None:
    world = world_with_standby()
    world.engine = lambda _: hung()
    assert world.settle() == ["route chat-small"]
    assert world.condition("Ready") == ("True", "StandbyServing", "1 pod of the standby chat-small serves")
    assert world.condition("FailedOver")[:2] == ("True", "FailedOver")
    assert world.condition("Degraded")[0] == "True"
    assert world.status["traffic"]["target"] == "Standby"
    assert world.status["standby"]["needed"] is True
    world.engine = lambda _: ready()
    assert world.settle() == []
    assert world.wait(290) == []
    assert world.wait(30) == ["route A"]
    assert "needed" not in world.status["standby"]
    assert [step["action"] for step in world.status["history"]][:2] == ["Recovered", "FailedOver"]
    assert world.told()[0].startswith("Warning FailedOver: A -> chat-small: 0 of 1 pods serve")


def test_patience_passes_before_traffic_moves() -> None:
    world = world_with_standby(health={"failover": {"after": "20s"}})
    world.engine = lambda _: hung()
    assert world.wait(15) == []
    assert world.wait(15) == ["route chat-small"]


def test_a_model_that_comes_back_within_the_patience_never_leaves() -> None:
    world = world_with_standby(health={"failover": {"after": "20s"}})
    world.engine = lambda _: hung()
    world.wait(10)
    world.engine = lambda _: ready()
    assert world.wait(60) == []
    assert world.route == "A"


def test_a_model_that_never_served_is_not_lost() -> None:
    world = World(companion=companion(), engine=lambda _: starting())
    world.spec |= STANDBY
    assert world.settle() == ["A: 1 pods", "route A"]


def test_one_pod_of_two_is_enough_to_stay() -> None:
    world = world_with_standby(replicas=2)
    world.pods.pop(next(iter(world.pods)))
    world.reconcile()
    assert world.route == "A"


def test_a_dead_standby_gets_no_traffic_and_the_sentence_says_so() -> None:
    world = world_with_standby()
    world.companion = companion(up=0)
    world.engine = lambda _: hung()
    assert world.settle() == []
    assert world.condition("StandbyReady") == ("False", "StandbyNotReady", "no pod of chat-small is ready")
    assert world.condition("Ready")[0] == "False"
    world.companion = companion()
    assert world.settle() == ["route chat-small"]


def test_a_standby_that_dies_gives_traffic_back_at_once() -> None:
    world = world_with_standby()
    world.engine = lambda _: hung()
    world.settle()
    world.engine = lambda _: ready()
    world.settle()
    world.companion = companion(up=0)
    assert world.settle() == ["route A"]


def test_when_both_are_dead_traffic_waits_where_it_is() -> None:
    world = world_with_standby()
    world.engine = lambda _: hung()
    world.settle()
    world.companion = companion(up=0)
    assert world.settle() == []
    assert world.route == "chat-small"
    assert world.condition("Ready")[0] == "False"


@pytest.mark.parametrize(
    ("there", "reason", "sentence"),
    [
        (None, "StandbyNotFound", "there is no ModelDeployment chat-small in namespace ai: create it, or correct standby"),
        (
            companion(standby="chat"),
            "StandbyPointsBack",
            "chat-small names chat as its own standby: one of the two has to stand by itself",
        ),
        (
            companion(served_names=frozenset({"chat-small"})),
            "StandbyName",
            "clients ask for chat, which chat-small does not serve: add it to model.aliases of chat-small",
        ),
        (companion(task="Embed"), "StandbyTask", "chat-small is for the task Embed and this model for Generate"),
        (companion(up=0), "StandbyNotReady", "no pod of chat-small is ready"),
        (companion(up=0, replicas=0), "StandbyCold", "chat-small has replicas 0 and is started when it is needed"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("Standby") else "",
)
def test_a_standby_that_could_not_take_over_says_why_and_gets_no_traffic(there: Any, reason: str, sentence: str) -> None:
    world = world_with_standby()
    world.companion = there
    world.engine = lambda _: hung()
    assert world.settle() == []
    assert world.condition("StandbyReady") == ("False", reason, sentence)


@pytest.mark.parametrize(
    ("there", "reason", "sentence"),
    [
        (
            companion(),
            "StandbyName",
            "clients ask for v2, which chat-small does not serve: add it to model.aliases of chat-small",
        ),
        (
            companion(served_names=frozenset({"chat", "v2"}), known_names=frozenset({"chat"})),
            "StandbyNotReady",
            (
                "the pods of chat-small that serve do not know v2 yet, "
                "until its new revision serves: kubectl get mdl chat-small says how far it is"
            ),
        ),
    ],
    ids=["its spec lacks one", "its pods lack one"],
)
def test_a_standby_that_knows_some_of_the_names_is_better_than_nobody_and_drilled_by_nobody(there: Any, reason: str, sentence: str) -> None:
    world = world_with_standby(model={"uri": "pvc://models/smollm2", "aliases": ["v2"]})
    world.companion = there
    world.settle()
    assert world.condition("StandbyReady") == ("False", reason, sentence)
    world.annotations["allod.dev/drill"] = "1"
    assert world.settle() == []
    assert world.condition("StandbyReady")[2] == sentence, "what keeps the drill from beginning"
    world.engine = lambda _: hung()
    assert world.settle() == ["route chat-small"]
    assert world.condition("Ready")[:2] == ("True", "StandbyServing")


def test_a_cold_standby_is_woken_by_need_and_sleeps_again() -> None:
    world = world_with_standby()
    world.companion = companion(up=0, replicas=0)
    world.engine = lambda _: hung()
    world.settle()
    assert world.status["standby"]["needed"] is True
    small = World()
    small.spec["replicas"] = 0
    small.settle()
    small.with_neighbour("legal", "2026-11-20T00:00:00Z", "legal", standby="chat", needs_standby=True)
    assert small.settle() == ["A: 1 pods"]
    small.neighbours = ()
    assert small.settle() == ["A: 0 pods"]


def test_recovery_by_hand_waits_for_the_wish_and_follows_it_once() -> None:
    world = world_with_standby(health={"failover": {"recovery": "Manual"}})
    world.engine = lambda _: hung()
    world.settle()
    world.engine = lambda _: ready()
    assert world.wait(3600) == []
    assert world.condition("FailedOver")[:2] == ("True", "WaitsForPerson")
    world.annotations["allod.dev/return-traffic"] = world.status["activeRevision"]
    assert world.settle() == ["route A"]
    world.engine = lambda _: hung()
    assert world.settle() == ["route chat-small"]
    world.engine = lambda _: ready()
    assert world.wait(3600) == [], "the old wish does not bring it back a second time"
    wish = world.annotations.pop("allod.dev/return-traffic")
    world.settle()
    world.annotations["allod.dev/return-traffic"] = wish
    assert world.settle() == ["route A"]


def test_after_three_returns_within_an_hour_traffic_stays_away() -> None:
    world = world_with_standby(health={"failover": {"holdFor": "10s"}})
    for _ in range(3):
        world.engine = lambda _: hung()
        assert world.settle() == ["route chat-small"]
        world.engine = lambda _: ready()
        assert world.wait(20) == ["route A"]
    world.engine = lambda _: hung()
    assert world.settle() == ["route chat-small"]
    world.engine = lambda _: ready()
    assert world.wait(120) == []
    assert world.condition("FailedOver")[:2] == ("True", "Flapping")
    assert world.condition("Degraded")[:2] == ("True", "Flapping")


def test_past_the_blast_radius_nothing_moves_and_the_sentence_says_so() -> None:
    world = world_with_standby()
    world.moved_lately = 10
    world.engine = lambda _: hung()
    assert world.settle() == []
    assert world.condition("Degraded")[:2] == ("True", "BlastRadius")
    world.moved_lately = 9
    assert world.settle() == ["route chat-small"]


def test_a_model_whose_standby_lists_its_name_is_not_refused() -> None:
    world = World()
    world.spec |= STANDBY
    world.companion = companion()
    world.with_neighbour("chat-small", "2026-11-20T00:00:00Z", "chat", "chat-small")
    assert world.settle() == ["A: 1 pods", "route A"]


def test_a_model_that_is_put_to_sleep_needs_nobody_in_its_place() -> None:
    world = world_with_standby()
    world.engine = lambda _: hung()
    world.settle()
    world.edit(replicas=0)
    assert world.settle() == ["A: 0 pods", "route A"]
    assert "needed" not in world.status["standby"]


def test_a_standby_that_the_spec_no_longer_names_serves_until_the_model_does() -> None:
    world = world_with_standby(health={"failover": {"holdFor": "10s"}})
    world.engine = lambda _: hung()
    world.settle()
    world.spec.pop("standby")
    world.edit()
    assert world.settle() == []
    assert world.condition("Ready") == ("True", "StandbyServing", "1 pod of the standby chat-small serves")
    assert world.condition("StandbyReady")[:2] == ("False", "StandbyRemoved")
    assert world.status["standby"]["needed"] is True, "a cold one must not fall asleep under the traffic"
    world.engine = lambda _: ready()
    assert world.settle() == ["route A"], "who takes the standby away does not want to wait until the model has held"
    assert "standby" not in world.status


def test_a_standby_that_is_gone_altogether_gives_traffic_back_as_soon_as_the_model_serves() -> None:
    world = world_with_standby()
    world.engine = lambda _: hung()
    world.settle()
    world.companion = None
    assert world.settle() == []
    world.engine = lambda _: ready()
    assert world.settle() == ["route A"]


def test_a_standby_does_not_sleep_while_it_has_the_traffic_of_a_model_that_names_another_by_now() -> None:
    world = World()
    world.spec["replicas"] = 0
    world.with_neighbour("chat-large", "2026-11-01T00:00:00Z", "chat-large", "chat", standby="other", traffic="chat")
    assert world.settle() == ["A: 1 pods", "route A"]
    world.neighbours = ()
    assert world.settle() == ["A: 0 pods"]


def test_a_lost_status_leaves_traffic_on_the_standby() -> None:
    world = world_with_standby()
    world.engine = lambda _: hung()
    world.settle()
    world.lose_status()
    assert world.settle() == []
    assert world.route == "chat-small"
    world.engine = lambda _: ready()
    assert world.wait(400) == ["route A"]


def test_a_suspended_model_fails_over_no_more() -> None:
    world = world_with_standby()
    world.edit(suspend=True)
    world.engine = lambda _: hung()
    assert world.settle() == []


def test_a_fast_clock_of_a_node_delays_no_failover() -> None:
    world = world_with_standby()
    world.engine = lambda _: hung()
    world.kubernetes()
    for pod in world.pods.values():
        pod["status"]["conditions"][1]["lastTransitionTime"] = timestamp(world.now + timedelta(seconds=30))
    world.reconcile()
    assert world.route == "chat-small"


def test_patience_holds_when_the_pods_are_gone() -> None:
    world = world_with_standby(health={"failover": {"after": "60s"}})
    world.pods.clear()
    world.reconcile()
    assert world.route == "A"
    world.now += timedelta(seconds=61)
    world.reconcile()
    assert world.route == "chat-small"


def test_clients_reach_the_pods_that_traffic_is_on_whatever_the_spec_names_by_now() -> None:
    world = world_with_standby()
    world.engine = lambda _: hung()
    world.settle()
    world.edit(standby={"modelDeploymentRef": {"name": "tiny"}})
    world.companion = companion(up=0, replicas=0, revision=None)
    world.settle()
    assert world.route == "chat-small"
    policy = world.children[Ref("networking.k8s.io/v1", "NetworkPolicy", "ai", "chat.standby")]
    assert policy["spec"]["podSelector"]["matchLabels"]["allod.dev/model"] == "chat-small"


@pytest.mark.parametrize(
    "changes",
    [{"suspend": True}, {"engine__args": {"swap-space": "4"}, "rollout": {"strategy": "StandbyHandoff"}}],
    ids=["suspended", "refused"],
)
def test_a_cold_standby_is_not_woken_for_what_will_not_happen(changes: dict[str, Any]) -> None:
    world = world_with_standby()
    world.companion = companion(up=0, replicas=0)
    world.edit(**changes)
    if "suspend" in changes:
        world.engine = lambda _: hung()
    world.settle()
    assert "needed" not in world.status["standby"]


def test_a_failover_that_nobody_could_write_down_is_told_by_the_next_operator() -> None:
    world = world_with_standby()
    world.engine = lambda _: hung()
    world.kubernetes()
    before = copied(world.status)
    world.reconcile()
    world.status = before
    world.settle()
    assert world.route == "chat-small"
    assert "lastActivation" in world.status["standby"]
    assert world.status["history"][0]["action"] == "FailedOver"


def test_a_model_that_is_put_to_sleep_while_its_standby_answers_has_not_recovered() -> None:
    world = world_with_standby()
    world.engine = lambda _: hung()
    world.settle()
    assert world.route == "chat-small"
    world.edit(replicas=0)
    world.settle()
    assert world.route == "A"
    step = world.status["history"][0]
    assert (step["action"], step["cause"]) == ("HandedBack", "spec.replicas is 0")
