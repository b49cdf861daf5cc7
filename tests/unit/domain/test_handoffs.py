"""Traffic goes to the standby because somebody wants it so, not because the model failed: for a rollout, or while the model wakes."""

from __future__ import annotations

from datetime import timedelta

from allod.domain.manifest import Ref
from unit.domain.simulation import World, companion, crashing, hung, ready, starting
from unit.domain.test_standby import world_with_standby


def test_a_handoff_moves_traffic_before_the_old_pods_end_and_back_when_the_new_ones_serve() -> None:
    world = world_with_standby(rollout={"strategy": "StandbyHandoff", "bake": "0s"})
    world.gpus = 1
    world.edit(engine__maxModelLen=32768)
    assert world.settle() == ["B: 0 pods", "route chat-small", "A: 0 pods", "B: 1 pods", "route B", "A: gone"]
    assert [step["action"] for step in world.status["history"]][:3] == ["HandedBack", "HandedOff", "RevisionCreated"]


def test_a_surge_without_gpus_becomes_a_handoff_when_a_standby_is_ready() -> None:
    world = world_with_standby()
    world.gpus = 1
    world.edit(engine__maxModelLen=32768)
    assert world.settle() == ["B: 1 pods", "route chat-small", "A: 0 pods", "route B", "A: gone"]


def test_a_handoff_waits_for_its_standby() -> None:
    world = world_with_standby(rollout={"strategy": "StandbyHandoff", "bake": "0s"})
    world.companion = companion(up=0)
    world.edit(engine__maxModelLen=32768)
    assert world.settle() == ["B: 0 pods"]
    assert world.serving() == ["A"]
    assert world.status["standby"]["needed"] is True


def test_a_handoff_to_a_revision_that_cannot_start_ends_where_it_began() -> None:
    world = world_with_standby(rollout={"strategy": "StandbyHandoff", "bake": "0s"})
    world.wait(5)
    world.gpus = 1
    world.engine = lambda letter: crashing() if letter == "B" else ready()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    assert world.route == "A"
    assert world.serving() == ["A"]
    assert world.state("B") == "Failed"


def test_a_handoff_that_was_suspended_is_still_one_afterwards() -> None:
    world = world_with_standby(rollout={"strategy": "StandbyHandoff", "bake": "0s"})
    world.gpus = 1
    world.engine = lambda letter: starting() if letter == "B" else ready()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.edit(suspend=True)
    world.settle()
    assert world.status["traffic"]["reason"] == "Handoff"
    world.edit(suspend=False)
    world.engine = lambda _: ready()
    assert world.settle() == ["route B"]


def test_pods_that_a_rollout_is_about_to_end_are_none_to_return_to() -> None:
    world = world_with_standby(rollout={"strategy": "StandbyHandoff", "bake": "0s"}, health={"failover": {"holdFor": "10s"}})
    world.engine = lambda _: hung()
    world.settle()
    world.engine = lambda letter: ready() if letter == "A" else starting()
    world.settle()
    world.now += timedelta(seconds=20)  # it has held, and in this very look there is a new spec
    world.edit(engine__maxModelLen=32768)
    assert "route A" not in world.settle()
    assert world.condition("Ready")[0] == "True"


def test_a_status_that_could_not_be_written_makes_no_failover_of_a_handoff() -> None:
    world = world_with_standby(rollout={"strategy": "StandbyHandoff", "bake": "0s"})
    world.engine = lambda letter: starting() if letter == "B" else ready()
    world.edit(engine__maxModelLen=32768)
    before = dict(world.status)
    world.reconcile()
    assert world.route == "chat-small"
    world.status = before  # somebody wrote to the object at the same moment
    world.settle()
    assert world.status["traffic"]["reason"] == "Handoff"
    world.engine = lambda _: ready()
    assert world.settle() == ["route B"], "it does not hold as after a failure"
    assert [step["action"] for step in world.status["history"]][:3] == ["HandedBack", "HandedOff", "RevisionCreated"]


def asleep(**spec: object) -> World:
    """A model with a standby whose replicas were set to 0."""
    world = world_with_standby(**spec)
    world.edit(replicas=0)
    world.settle()
    world.events.clear()
    return world


def test_a_model_that_wakes_hands_off_to_its_standby_until_it_is_up() -> None:
    world = asleep()
    world.engine = lambda _: starting()
    world.edit(replicas=1)
    assert world.settle() == ["A: 1 pods", "route chat-small"]
    assert world.told()[0] == "Normal HandedOff: A -> chat-small: the model starts again from no replicas"
    world.engine = lambda _: ready()
    assert world.settle() == ["route A"], "nothing has failed, so nothing has to hold"
    assert "Recovered" not in [step["action"] for step in world.status["history"]]


def test_a_model_that_wakes_four_times_within_an_hour_does_not_flap() -> None:
    world = asleep()
    for _ in range(4):
        world.edit(replicas=1)
        world.settle()
        assert world.route == "A"
        world.edit(replicas=0)
        world.settle()


def test_a_model_that_wakes_starts_no_cold_standby_unless_it_cannot() -> None:
    world = asleep()
    world.companion = companion(up=0, replicas=0)
    world.engine = lambda _: starting()
    world.edit(replicas=1)
    assert world.settle() == ["A: 1 pods"]
    assert world.condition("Ready")[:2] == ("False", "Waking")
    assert "needed" not in world.status["standby"]
    world.engine = lambda _: crashing()
    world.settle()
    assert world.status["standby"]["needed"] is True


def test_the_reason_stands_on_the_service_only_while_the_standby_has_the_traffic() -> None:
    world = world_with_standby(health={"failover": {"holdFor": "10s"}})
    world.engine = lambda _: hung()
    world.settle()
    service = Ref("v1", "Service", "ai", "chat")
    assert world.children[service]["metadata"]["annotations"]["allod.dev/stands-in-for"] == "Failover"
    world.engine = lambda _: ready()
    world.wait(20)
    assert world.route == "A"
    assert "allod.dev/stands-in-for" not in world.children[service]["metadata"]["annotations"]


def test_a_rollout_that_needs_a_standby_which_only_a_person_can_mend_says_so() -> None:
    world = world_with_standby(rollout={"strategy": "StandbyHandoff", "bake": "0s"})
    world.companion = companion(served_names=frozenset({"chat-small"}))
    world.edit(engine__maxModelLen=32768)
    world.settle()
    assert world.wait(3600) == []
    assert world.serving() == ["A"]
    assert world.condition("Progressing")[:2] == ("True", "StandbyName")
    assert world.condition("Progressing")[2].endswith("add it to model.aliases of chat-small")
    assert world.condition("Stalled")[:2] == ("True", "StandbyName")
    assert world.condition("Degraded")[:2] == ("True", "StandbyName")


def test_nothing_waits_for_a_standby_while_the_model_is_suspended() -> None:
    world = world_with_standby(rollout={"strategy": "StandbyHandoff", "bake": "0s"})
    world.companion = companion(served_names=frozenset({"chat-small"}))
    world.edit(engine__maxModelLen=32768, suspend=True)
    world.settle()
    assert world.condition("Stalled")[0] == world.condition("Degraded")[0] == "False"
    assert world.condition("Progressing")[:2] == ("False", "Suspended")


def test_a_rollout_does_not_go_by_a_standby_that_knows_only_some_of_the_names() -> None:
    world = world_with_standby(rollout={"strategy": "StandbyHandoff", "bake": "0s"}, model={"uri": "pvc://m", "aliases": ["v2"]})
    world.companion = companion(served_names=frozenset({"chat", "chat-small", "v2"}), known_names=frozenset({"chat", "chat-small"}))
    world.edit(engine__maxModelLen=32768)
    world.settle()
    assert world.wait(60) == []
    assert world.condition("Progressing")[:2] == ("True", "StandbyNotReady")
    world.companion = companion(served_names=frozenset({"chat", "chat-small", "v2"}))
    assert "route chat-small" in world.settle()


def test_a_rollout_that_waits_for_the_pods_of_its_standby_says_so_and_nothing_is_degraded() -> None:
    world = world_with_standby(rollout={"strategy": "StandbyHandoff", "bake": "0s"})
    world.companion = companion(up=0)
    world.edit(engine__maxModelLen=32768)
    world.settle()
    assert world.condition("Progressing")[1] == "StandbyNotReady"
    assert (world.condition("Stalled")[0], world.condition("Degraded")[0]) == ("False", "False")
