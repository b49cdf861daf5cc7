"""The standby is tried: when a drill begins, what ends it, and what is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from unit.domain.documents import copied
from unit.domain.simulation import World, companion, hung, ready, starting
from unit.domain.test_standby import world_with_standby

NIGHTLY = {"schedule": "0 4 * * *", "timeZone": "Europe/Berlin"}
"""The simulated world begins on 20 November at two o'clock UTC, which is three o'clock there."""


def world_with_drill(**standby: Any) -> World:
    world = world_with_standby(standby={"modelDeploymentRef": {"name": "chat-small"}} | standby)
    world.status.pop("drilled", None)
    return world


def wish(world: World, word: str = "1") -> list[str]:
    world.annotations["allod.dev/drill"] = word
    return world.settle()


def last(world: World) -> tuple[str, str]:
    told = world.status["standby"]["lastDrill"]
    return told["result"], told["message"]


def test_a_drill_by_hand_moves_traffic_there_and_back_and_tells_how_long_it_took() -> None:
    world = world_with_drill()
    assert wish(world) == ["route chat-small"]
    assert world.status["traffic"]["reason"] == "Drill"
    assert world.condition("Ready")[:2] == ("True", "StandbyServing")
    assert world.condition("FailedOver")[:2] == ("True", "Drill")
    assert world.wait(31) == ["route A"]
    assert last(world) == ("Passed", "chat-small answered for 30s")
    assert world.status["standby"]["lastDrill"]["activationSeconds"] == "1.0"
    assert "drill" not in world.status["standby"]
    assert "lastActivation" not in world.status["standby"], "nothing had failed"
    assert [step["action"] for step in world.status["history"]][:2] == ["DrillPassed", "DrillStarted"]
    assert world.told()[-1].startswith("Normal DrillPassed: chat-small -> A: chat-small answered for 30s, 1.0 s after it was asked for")


def test_a_wish_is_followed_once() -> None:
    world = world_with_drill()
    wish(world)
    world.wait(40)
    assert world.settle() == []
    assert wish(world, "2") == ["route chat-small"]


def test_four_drills_within_an_hour_are_no_flapping() -> None:
    world = world_with_drill()
    for number in range(4):
        wish(world, str(number))
        world.wait(60)
    world.engine = lambda _: hung()
    assert world.settle() == ["route chat-small"]
    world.engine = lambda _: ready()
    assert world.wait(310) == ["route A"]


def test_a_cold_standby_is_started_for_a_drill_and_that_time_counts() -> None:
    world = world_with_drill(maxActivation="1m")
    world.companion = companion(up=0, replicas=0)
    assert wish(world) == []
    assert world.status["standby"]["needed"] is True
    world.now += timedelta(seconds=40)
    world.companion = companion(up=1, replicas=0)
    assert world.settle() == ["route chat-small"]
    assert world.wait(31) == ["route A"]
    assert world.status["standby"]["lastDrill"]["activationSeconds"] == "42.0"
    assert "needed" not in world.status["standby"]


def test_a_standby_that_does_not_get_ready_fails_its_drill_and_says_so_until_one_passes() -> None:
    world = world_with_drill(maxActivation="1m")
    world.companion = companion(up=0, replicas=0)
    wish(world)
    assert world.wait(61) == []
    result, message = last(world)
    assert (result, message) == ("Failed", "chat-small was not ready within 1m: chat-small has replicas 0 and is started when it is needed")
    assert "needed" not in world.status["standby"]
    world.companion = companion()
    world.settle()
    assert world.condition("StandbyReady")[:2] == ("False", "DrillFailed")
    wish(world, "2")
    world.wait(31)
    assert world.condition("StandbyReady")[:2] == ("True", "Serving")


def test_a_standby_that_took_too_long_is_not_called_ready() -> None:
    world = world_with_drill(maxActivation="1s")
    world.now += timedelta(seconds=1)
    world.annotations["allod.dev/drill"] = "1"
    world.reconcile()
    world.now += timedelta(milliseconds=900)
    world.settle()
    world.wait(31)
    assert world.condition("StandbyReady")[0] == "True"
    world.spec["standby"]["maxActivation"] = "500ms"
    world.edit()
    world.settle()
    status, reason, message = world.condition("StandbyReady")
    assert (status, reason) == ("False", "DrillTooSlow")
    assert message.endswith("it took 0.9 s until chat-small had the traffic, and standby.maxActivation is 500ms")
    world.engine = lambda _: hung()
    assert world.settle() == ["route chat-small"], "a slow standby is better than none"


def test_a_standby_that_dies_in_a_drill_gives_traffic_back_at_once() -> None:
    world = world_with_drill()
    wish(world)
    world.now += timedelta(seconds=10)
    world.companion = companion(up=0)
    assert world.settle() == ["route A"]
    result, message = last(world)
    assert result == "Failed"
    assert message.startswith("chat-small lost its last ready pod after 1")


def test_a_model_that_fails_in_a_drill_stays_on_the_standby_as_after_any_failure() -> None:
    world = world_with_drill()
    wish(world)
    world.engine = lambda _: hung()
    assert world.settle() == []
    assert world.status["traffic"]["reason"] == "Failover"
    assert last(world) == ("Interrupted", "the model failed meanwhile, and the standby answers for it")
    assert [step["action"] for step in world.status["history"]][:3] == ["DrillInterrupted", "FailedOver", "DrillStarted"]
    world.engine = lambda _: ready()
    assert world.wait(200) == []
    assert world.wait(120) == ["route A"]


def test_a_rollout_that_needs_the_standby_ends_a_drill() -> None:
    world = world_with_drill()
    wish(world)
    world.engine = lambda letter: starting() if letter == "B" else ready()
    world.edit(rollout={"strategy": "StandbyHandoff", "bake": "0s"}, engine__maxModelLen=32768)
    world.settle()
    assert world.status["traffic"]["reason"] == "Handoff"
    assert last(world) == ("Interrupted", "a rollout needs the standby")
    world.engine = lambda _: ready()
    assert world.settle()[-1] == "route B"


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param({"engine": lambda _: hung()}, id="the model does not serve"),
        pytest.param({"companion": companion(up=0)}, id="the standby is not ready and not cold"),
        pytest.param({"companion": companion(task="Embed")}, id="the standby could never take over"),
        pytest.param({"companion": None}, id="there is no standby"),
    ],
)
def test_a_drill_puts_nobody_at_risk_who_is_not_safe(trouble: dict[str, Any]) -> None:
    world = world_with_drill(maxActivation="1m")
    for name, value in trouble.items():
        setattr(world, name, value)
    world.settle()
    wish(world)
    world.wait(120)
    assert "DrillStarted" not in [step["action"] for step in world.status["history"]]


def test_no_drill_begins_while_a_rollout_runs_or_bakes() -> None:
    world = world_with_drill()
    world.edit(rollout={"bake": "10m"}, engine__maxModelLen=32768)
    world.settle()
    assert wish(world) == []
    waits = "1 pod of chat-small could answer; the drill that annotation allod.dev/drill asks for begins when"
    assert world.condition("StandbyReady")[2].startswith(waits)
    assert world.wait(620)[-1] == "route chat-small", "the wish waited for the end of the bake time"
    assert world.condition("StandbyReady")[2] == "1 pod of chat-small could answer"


def test_a_lost_status_ends_a_drill() -> None:
    world = world_with_drill()
    wish(world)
    del world.annotations["allod.dev/drill"]
    world.lose_status()
    assert world.settle() == ["route A"]


def test_a_status_that_could_not_be_written_moves_no_traffic() -> None:
    world = world_with_drill()
    before = dict(world.status)
    world.annotations["allod.dev/drill"] = "1"
    world.reconcile()
    assert world.route == "A"
    world.status = before
    assert world.settle() == ["route chat-small"]


def test_the_schedule_is_followed_in_its_own_zone() -> None:
    world = world_with_drill(drill=NIGHTLY | {"duration": "1m"})
    assert world.wait(3500) == []
    assert world.wait(130) == ["route chat-small"]
    assert world.status["standby"]["drill"]["cause"] == "schedule 0 4 * * * Europe/Berlin"
    assert world.wait(60) == ["route A"]
    assert last(world) == ("Passed", "chat-small answered for 1m")
    assert world.wait(22 * 3600) == [], "once a day"
    assert world.wait(2 * 3600) == ["route chat-small", "route A"]


def test_an_operator_that_was_away_does_not_make_up_for_the_night() -> None:
    world = world_with_drill(drill=NIGHTLY)
    world.wait(600)
    world.now += timedelta(hours=30)
    assert world.settle() == []


@pytest.mark.parametrize(
    ("drill", "says"),
    [
        ({"schedule": "0 3 31 2 *"}, "standby.drill.schedule '0 3 31 2 *' is no time that ever comes"),
        ({"schedule": "30-10 3 * * *"}, "standby.drill.schedule '30-10 3 * * *' is no time that ever comes"),
        (
            {"schedule": "0 3 * * *", "timeZone": "Europe/Atlantis"},
            "standby.drill.timeZone 'Europe/Atlantis' is no time zone: write a name such as Europe/Berlin",
        ),
    ],
)
def test_a_schedule_that_nobody_can_follow_is_told_and_stops_nothing(drill: dict[str, str], says: str) -> None:
    world = world_with_drill(drill=drill)
    status, reason, message = world.condition("Degraded")
    assert (status, reason) == ("True", "BadSchedule")
    assert message.startswith(says)
    world.engine = lambda _: hung()
    assert world.settle() == ["route chat-small"]


def waiting_for_a_cold_standby() -> World:
    world = world_with_drill()
    world.companion = companion(up=0, replicas=0)
    wish(world)
    assert world.status["standby"]["needed"] is True
    return world


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        pytest.param({"suspend": True}, "the model was suspended", id="suspended"),
        pytest.param({"replicas": 0}, "the model changed or was not whole any more", id="put to sleep"),
        pytest.param({"engine__maxModelLen": 32768}, "the model changed or was not whole any more", id="a rollout"),
    ],
)
def test_a_drill_that_waits_for_its_standby_ends_when_the_model_is_no_longer_as_it_should_be(edit: dict[str, Any], says: str) -> None:
    world = waiting_for_a_cold_standby()
    world.engine = lambda letter: starting() if letter == "B" else ready()
    world.edit(**edit)
    world.settle()
    assert last(world) == ("Interrupted", says)
    assert "needed" not in world.status["standby"]
    world.companion = companion()
    world.settle()
    assert world.route != "chat-small"


def test_no_drill_begins_while_the_model_is_suspended() -> None:
    world = world_with_drill()
    world.companion = companion(up=0, replicas=0)
    world.edit(suspend=True)
    wish(world)
    assert "drill" not in world.status["standby"]
    assert "needed" not in world.status["standby"]


def test_a_model_that_is_put_to_sleep_in_a_drill_has_one_step_more() -> None:
    world = world_with_drill()
    wish(world)
    world.edit(replicas=0)
    world.settle()
    assert [step["action"] for step in world.status["history"]][:2] == ["DrillInterrupted", "DrillStarted"]


def test_a_wish_that_waits_for_the_standby_is_told_by_what_is_wrong_with_that() -> None:
    world = world_with_drill()
    world.companion = companion(task="Embed")
    assert wish(world) == []
    assert world.condition("StandbyReady")[2] == "chat-small is for the task Embed and this model for Generate"


def test_a_failure_in_a_drill_is_told_from_the_model_that_failed() -> None:
    world = world_with_drill()
    wish(world)
    world.engine = lambda _: hung()
    world.settle()
    assert any(line.startswith("Warning FailedOver: A -> chat-small: 0 of 1 pods serve") for line in world.told())


def test_a_move_that_nobody_could_write_down_is_told_by_the_next_operator() -> None:
    world = world_with_drill(maxActivation="1m")
    world.companion = companion(up=0, replicas=0)
    wish(world)
    world.now += timedelta(seconds=50)
    world.companion = companion(up=1, replicas=0)
    before = copied(world.status)
    world.reconcile()
    assert world.route == "chat-small"
    world.status = before
    world.now += timedelta(seconds=3)
    world.settle()
    assert world.route == "chat-small", "it has not answered for its time"
    world.wait(31)
    assert world.route == "A"
    assert last(world)[0] == "Passed"
    assert float(world.status["standby"]["lastDrill"]["activationSeconds"]) > 50
