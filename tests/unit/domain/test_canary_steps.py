"""How long a step of a canary lasts: for its time, and for as many requests as it wants compared."""

from __future__ import annotations

from datetime import timedelta

from unit.domain.test_canaries import Busy, canary_world, compared


def test_without_enough_requests_a_step_lasts() -> None:
    world = canary_world()
    world.duel = lambda new, old: compared(new, old, requests=49)
    world.edit(engine__maxModelLen=32768)
    world.settle()
    assert world.wait(3600) == []
    assert world.condition("Progressing")[2].endswith(
        "step 1 of 2: 5 percent of the requests, until 50 requests of it were compared in this step"
    )
    world.duel = compared
    assert world.settle() == ["gateway A 50, B 50"]


def test_each_step_wants_its_own_requests_so_that_nobody_is_promoted_blindly() -> None:
    world = canary_world()
    world.duel = busy = Busy(world)
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.wait(310)
    assert world.weights == {"A": 50, "B": 50}
    busy.counted_until = world.now
    assert world.wait(3600) == [], "310 were compared, and none of them in this step"
    busy.counted_until = None
    assert world.settle() == ["route B", "gateway B 100"]


def test_a_new_leader_compares_anew_and_goes_on_when_it_has_seen_enough() -> None:
    world = canary_world()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.wait(310)
    world.duel = lambda new, old: compared(new, old, 49)
    assert world.wait(620) == []
    world.duel = lambda new, old: compared(new, old, 50)
    assert world.settle() == ["route B", "gateway B 100"]


def test_an_engine_that_counts_nothing_moves_on_by_time_alone() -> None:
    world = canary_world()
    world.duel = lambda _new, _old: None
    world.spec |= {"engine": {"type": "LlamaCpp"}, "model": {"uri": "oci://models/smollm2:1/model.gguf"}, "resources": {"memory": "1Gi"}}
    world.edit(engine__maxModelLen=4096)
    world.settle()
    assert world.wait(310) == ["gateway A 50, B 50"]


def test_a_step_begins_anew_when_the_pods_were_away() -> None:
    world = canary_world()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.wait(200)
    (pod,) = [name for name, each in world.pods.items() if world.letter(each["metadata"]["labels"]["allod.dev/revision"]) == "B"]
    world.pods[pod]["metadata"]["deletionTimestamp"] = "2026-11-20T03:00:00Z"
    world.reconcile()
    assert world.weights == {"A": 100}
    assert world.status["canary"]["step"] == 1
    assert (
        "Normal CanaryPaused: A -> B: no requests for the present, until as many of its pods are ready as of the active revision"
        in world.told()
    )
    del world.pods[pod]
    assert world.settle() == ["gateway A 95, B 5"]
    assert world.wait(200) == []
    assert world.wait(110) == ["gateway A 50, B 50"]


def test_a_step_that_lacks_requests_is_looked_at_again_though_nobody_tells_of_them() -> None:
    world = canary_world()
    world.duel = busy = Busy(world)
    world.edit(engine__maxModelLen=32768)
    world.wait(310)
    busy.counted_until = world.now
    assert world.wait(600) == []
    due = world.reconcile().requeue_after
    assert due is not None
    assert due <= timedelta(seconds=10)


def test_what_a_suspended_canary_sends_where_is_told_as_it_is_whatever_is_edited_meanwhile() -> None:
    world = canary_world()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.edit(suspend=True)
    world.settle()
    told = world.status["traffic"]["weights"]
    world.edit(engine__maxModelLen=16000)
    world.settle()
    assert world.weights == {"A": 95, "B": 5}
    assert world.status["traffic"]["weights"] == told
