from __future__ import annotations

from datetime import timedelta

import pytest

from allod.domain.serving.claim import Held
from unit.domain.simulation import START, World, crashing, ready, refused, serving_world, starting


def test_the_first_revision_is_made_and_serves() -> None:
    world = World()
    assert world.settle() == ["A: 1 pods", "route A"]
    assert world.condition("Ready") == ("True", "Serving", f"1 of 1 pods of revision {world.status['activeRevision']} serve")
    assert world.condition("Progressing")[:2] == ("False", "Complete")
    assert world.condition("Degraded")[:2] == ("False", "AsExpected")
    assert world.state("A") == "Good"
    assert world.told() == ["Normal RevisionCreated: revision A: the first one", "Normal Ready: 1 of 1 pods of revision A serve"]


def test_a_world_at_rest_plans_what_is_there() -> None:
    world = serving_world()
    before = dict(world.children)
    again = world.reconcile()
    assert world.children == before
    assert again.delete == ()
    assert again.events == ()


def test_a_new_revision_starts_beside_the_old_and_traffic_moves_when_it_is_ready() -> None:
    world = serving_world()
    world.edit(engine__maxModelLen=32768)
    assert world.settle() == ["B: 1 pods", "route B", "A: gone"]
    assert world.told() == [
        "Normal RevisionCreated: revision B: engine.maxModelLen 16384 -> 32768",
        "Normal TrafficMoved: A -> B: 1 of 1 pods ready",
    ]
    assert [step["action"] for step in world.status["history"]] == ["TrafficMoved", "RevisionCreated", "RevisionCreated"]


def test_the_old_revision_serves_until_every_pod_of_the_new_one_is_ready() -> None:
    world = serving_world(replicas=2)
    world.engine = lambda letter: starting() if letter == "B" else ready()
    world.edit(engine__maxModelLen=32768)
    assert world.settle() == ["B: 2 pods"]
    assert world.serving() == ["A", "A"]
    assert world.condition("Ready")[0] == "True"
    assert world.condition("Progressing")[:2] == ("True", "RollingOut")
    assert world.condition("Degraded")[0] == "False"


def test_a_revision_that_cannot_serve_is_given_up_and_the_old_one_goes_on() -> None:
    world = serving_world()
    world.engine = lambda letter: refused() if letter == "B" else ready()
    world.edit(engine__maxModelLen=1_000_000)
    assert world.settle() == ["B: 1 pods", "B: 0 pods"]
    assert world.route == "A"
    assert world.state("B") == "Failed"
    assert world.condition("Ready")[0] == "True"
    assert world.condition("Degraded") == ("True", "DoesNotFit", "weights 26.1 GiB do not fit")
    assert world.condition("FitsMemory") == ("False", "DoesNotFit", "weights 26.1 GiB do not fit")
    assert "Warning RevisionFailed: revision B was given up: weights 26.1 GiB do not fit" in world.told()


def test_a_crash_loop_is_given_up_while_the_old_revision_serves() -> None:
    world = serving_world()
    world.engine = lambda letter: crashing() if letter == "B" else ready()
    world.edit(engine__maxModelLen=32768)
    assert world.settle() == ["B: 1 pods", "B: 0 pods"]
    assert world.condition("Degraded")[1] == "CrashLoop"


def test_a_crash_loop_of_the_only_revision_keeps_trying() -> None:
    world = World(engine=lambda _: crashing())
    assert world.settle() == ["A: 1 pods", "route A"]
    assert world.condition("Ready")[:2] == ("False", "CrashLoop")
    world.engine = lambda _: ready()
    assert world.settle() == []
    assert world.condition("Ready")[0] == "True"


def test_a_first_revision_that_cannot_serve_holds_no_gpu() -> None:
    world = World(engine=lambda _: refused())
    assert world.settle() == ["A: 1 pods", "route A", "A: 0 pods"]
    assert world.condition("Ready")[:2] == ("False", "DoesNotFit")
    assert world.status["gpus"] == 0


def test_a_revision_that_was_given_up_is_tried_again_only_after_an_edit() -> None:
    world = World(engine=lambda _: refused())
    world.settle()
    world.engine = lambda _: ready()
    assert world.settle() == []
    world.edit(replicas=2)
    assert world.settle() == [], "an autoscaler's word is no edit"
    world.edit(rollout={"bake": "0s", "progressDeadline": "2h"})
    assert world.settle() == ["A: 2 pods"]
    assert world.condition("Ready")[0] == "True"


def test_the_correction_of_a_first_revision_that_never_served_does_not_wait_for_it() -> None:
    world = World(engine=lambda letter: starting() if letter == "A" else ready(), gpus=1)
    world.settle()
    world.edit(engine__image="registry.test/vllm:v0.32.1")
    assert world.settle() == ["B: 1 pods", "route B", "A: gone"]
    assert world.serving() == ["B"]


def test_going_back_while_the_new_revision_starts_leaves_the_old_one_untouched() -> None:
    world = serving_world()
    world.engine = lambda letter: starting() if letter == "B" else ready()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.edit(engine__maxModelLen=16384)
    assert world.settle() == ["B: gone"]
    assert world.serving() == ["A"]


def test_going_back_to_a_revision_that_was_replaced_uses_what_was_kept_of_it() -> None:
    world = serving_world()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.edit(engine__maxModelLen=16384)
    assert world.settle() == ["A: 1 pods", "route A", "B: gone"]
    assert "Normal RevisionRestored: revision A: engine.maxModelLen 32768 -> 16384" in world.told()


def test_replicas_scale_in_place() -> None:
    world = serving_world()
    world.edit(replicas=3)
    assert world.settle() == ["A: 3 pods"]
    world.edit(replicas=0)
    assert world.settle() == ["A: 0 pods"]
    assert world.condition("Ready")[:2] == ("False", "ScaledToZero")
    assert world.condition("Degraded")[0] == "False"


def test_a_model_that_was_scaled_to_zero_starts_only_the_new_revision() -> None:
    world = serving_world()
    world.edit(replicas=0)
    world.settle()
    world.edit(replicas=2, engine__maxModelLen=32768)
    assert world.settle() == ["B: 2 pods", "route B", "A: gone"]


def test_more_replicas_during_a_rollout_go_to_the_new_revision() -> None:
    world = serving_world()
    world.engine = lambda letter: starting() if letter == "B" else ready()
    world.edit(replicas=4, engine__maxModelLen=32768)
    assert world.settle() == ["B: 4 pods"]
    assert world.serving() == ["A"]


def test_a_gpu_shortage_is_named_and_waits_while_the_old_revision_serves() -> None:
    world = serving_world()
    world.gpus = 1
    world.edit(engine__maxModelLen=32768)
    assert world.settle() == ["B: 1 pods"]
    assert world.route == "A"
    status, reason, message = world.condition("GPUsAvailable")
    assert (status, reason) == ("False", "InsufficientGPUs")
    assert message.endswith(
        "needs 1 nvidia.com/gpu on one node, and none has them free; the scheduler says: "
        "0/2 nodes are available: 2 Insufficient nvidia.com/gpu"
    )
    assert world.condition("Ready")[0] == "True"
    world.gpus = 2
    assert world.settle() == ["route B", "A: gone"]


def test_traffic_goes_to_the_part_of_a_new_revision_that_is_ready_when_the_old_one_is_dead() -> None:
    world = serving_world(replicas=2)
    world.gpus = 3
    world.edit(engine__maxModelLen=32768)
    assert world.settle() == ["B: 2 pods"]
    world.engine = lambda letter: crashing() if letter == "A" else ready()
    assert world.settle() == ["route B", "A: gone"]


def test_a_revision_that_served_is_not_given_up_when_it_fails_later() -> None:
    world = serving_world()
    world.engine = lambda _: refused()
    assert world.settle() == []
    assert world.state("A") == "Unavailable"
    assert world.condition("Degraded")[:2] == ("True", "DoesNotFit")


def test_twenty_edits_in_a_row_leave_one_revision() -> None:
    world = serving_world()
    for length in range(20):
        world.edit(engine__maxModelLen=20_000 + length)
        world.reconcile()
    world.settle()
    assert len(world.serving()) == 1
    assert len([child for child in world.children.values() if child["kind"] == "StatefulSet"]) == 1
    assert world.condition("Progressing")[:2] == ("False", "Complete")


def test_history_keeps_five_good_revisions_beside_the_one_that_serves() -> None:
    world = serving_world()
    for length in range(8):
        world.edit(engine__maxModelLen=20_000 + length)
        world.settle()
    kept = [child for child in world.children.values() if child["kind"] == "ControllerRevision"]
    assert sorted(child["revision"] for child in kept) == [4, 5, 6, 7, 8, 9]


def test_a_suspended_model_is_reported_and_not_touched() -> None:
    world = serving_world()
    world.edit(suspend=True, engine__maxModelLen=32768)
    assert world.settle() == []
    assert world.condition("Progressing")[:2] == ("False", "Suspended")
    assert world.condition("Ready")[0] == "True"
    world.edit(suspend=False)
    assert world.settle() == ["B: 1 pods", "route B", "A: gone"]


def test_a_pod_that_is_being_prepared_is_looked_at_again_when_it_has_been_so_for_too_long() -> None:
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-20T02:00:00Z"}
    world = World(engine=lambda _: {"phase": "Pending", "conditions": [scheduled]})
    world.settle()
    world.now = START + timedelta(minutes=3)
    assert world.reconcile().requeue_after == timedelta(minutes=2)
    world.now = START + timedelta(minutes=5)
    assert world.reconcile().requeue_after is None
    assert world.condition("Degraded")[1] == "NotPrepared"


def test_a_lost_status_is_made_again_without_touching_the_pods() -> None:
    world = serving_world()
    world.lose_status()
    assert world.settle() == []
    assert world.state("A") == "Good"


def test_a_deleted_service_is_made_again_where_it_was() -> None:
    world = serving_world()
    world.engine = lambda letter: starting() if letter == "B" else ready()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    service = next(name for name in world.children if name.kind == "Service" and name.name == "chat")
    del world.children[service]
    world.lose_status()
    assert world.settle() == ["route A"]


def test_a_served_name_belongs_to_the_older_model() -> None:
    world = World()
    world.with_neighbour("elder", "2026-11-20T00:00:00Z", "chat", "small")
    assert world.settle() == []
    sentence = "elder claims chat too and is older: give this model another model.servedName or other aliases"
    assert world.condition("Degraded") == ("True", "NameTaken", sentence)
    assert world.condition("Ready") == ("False", "NameTaken", sentence)
    assert world.children == {}
    world.neighbours = ()
    assert world.settle() == ["A: 1 pods", "route A"]


def test_a_younger_model_takes_no_name_away() -> None:
    world = World()
    world.with_neighbour("younger", "2026-11-20T02:00:00Z", "chat")
    assert world.settle() == ["A: 1 pods", "route A"]


def test_a_model_that_serves_keeps_its_name_when_an_older_one_asks_for_it() -> None:
    world = serving_world()
    world.with_neighbour("elder", "2026-11-20T00:00:00Z", "chat")
    assert world.settle() == []
    assert world.condition("Degraded")[1] == "AsExpected"
    world.edit(engine__maxModelLen=32768)
    assert world.settle() == ["B: 1 pods", "route B", "A: gone"]


def test_two_that_serve_one_name_go_on_and_the_younger_says_so() -> None:
    world = serving_world()
    world.with_neighbour("elder", "2026-11-20T00:00:00Z", "chat", held=Held(frozenset({"chat"}), served=True))
    assert world.settle() == []
    assert world.condition("Ready")[0] == "True"
    sentence = "elder already serves chat too and is older: give this model another model.servedName or other aliases"
    assert world.condition("Degraded")[1:] == ("NameTaken", sentence)
    world.edit(engine__maxModelLen=32768)
    assert world.settle() == []


def test_a_model_that_never_served_gives_way_to_one_that_was_started_at_the_same_time() -> None:
    world = World(engine=lambda _: starting())
    assert world.settle() == ["A: 1 pods", "route A"]
    world.with_neighbour("brother", "2026-11-20T01:00:00Z", "chat", held=Held(frozenset({"chat"})))
    assert world.settle() == ["route -", "A: gone"]
    assert ({name.kind for name in world.children}, world.pods, world.status["gpus"]) == ({"PodDisruptionBudget"}, {}, 0)
    advice = "give this model another model.servedName or other aliases"
    assert world.condition("Degraded")[1:] == ("NameTaken", f"brother was already started as chat: {advice}")
    why = "brother was already started as chat too, is of the same second, and comes first by name"
    assert world.told()[-1] == f"Warning NameTaken: {why}: {advice}"
    world.neighbours = ()
    world.engine = lambda _: ready()
    assert world.settle() == ["A: 1 pods", "route A"]


def test_an_edit_of_a_model_that_gave_no_name_up_starts_under_the_name_that_is_free() -> None:
    world = World(engine=lambda _: starting())
    world.settle()
    world.with_neighbour("brother", "2026-11-20T01:00:00Z", "chat", held=Held(frozenset({"chat"})))
    world.edit(model__servedName="chat-2")
    assert world.settle() == ["B: 1 pods", "route B", "A: gone"]


def test_a_new_revision_under_a_taken_name_goes_and_the_old_one_serves_under_its_own() -> None:
    world = serving_world()
    world.engine = lambda letter: starting() if letter == "B" else ready()
    world.edit(model__aliases=["small"])
    assert world.settle() == ["B: 1 pods"]
    world.with_neighbour("younger", "2026-11-20T02:00:00Z", "small", held=Held(frozenset({"small"}), served=True))
    assert world.settle() == ["B: gone"]
    assert world.route == "A"
    assert world.condition("Degraded")[2].startswith("younger already serves small: ")


def test_a_rollback_by_hand_takes_no_name_that_was_given_to_another_meanwhile() -> None:
    world = serving_world()
    world.edit(model__servedName="chat-2")
    world.settle()
    world.with_neighbour("younger", "2026-11-20T02:00:00Z", "chat", held=Held(frozenset({"chat"}), served=True))
    assert world.settle() == []
    old = next(revision for revision, letter in world.letters.items() if letter == "A")
    world.annotations = {"allod.dev/rollback-to": old}
    assert world.settle() == []
    assert world.condition("Degraded")[1] == "NameTaken"


def test_an_unknown_flag_makes_no_revision_and_the_old_one_serves() -> None:
    world = serving_world()
    world.edit(engine__args={"swap-space": "4"})
    assert world.settle() == []
    sentence = "engine.args: swap-space is unknown to vLLM 0.32: the engine no longer swaps to memory of the host"
    assert world.condition("Degraded") == ("True", "UnknownFlag", sentence)
    assert world.condition("Progressing") == ("False", "UnknownFlag", sentence)
    assert world.told() == [f"Warning UnknownFlag: {sentence}"]


def test_a_suspended_model_keeps_the_memory_of_a_revision_to_go_back_to() -> None:
    world = serving_world()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.edit(engine__maxModelLen=16384, suspend=True)
    assert world.settle() == []
    world.edit(suspend=False)
    assert world.settle() == ["A: 1 pods", "route A", "B: gone"]


def test_a_model_of_which_one_pod_of_two_serves_is_not_taken_down() -> None:
    world = World(gpus=1)
    world.edit(replicas=2)
    world.settle()
    assert world.serving() == ["A"]
    world.with_neighbour("elder", "2026-11-20T00:00:00Z", "chat", held=Held(frozenset({"chat"})))
    assert world.settle() == []
    assert world.condition("Degraded")[1] != "NameTaken"


@pytest.mark.parametrize("lost", ["the one at home", "both"])
def test_a_controller_revision_that_somebody_deletes_in_a_rollout_loses_no_traffic(lost: str) -> None:
    world = serving_world()
    world.engine = lambda letter: starting() if letter == "B" else ready()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    template = next(iter(world.children[name] for name in world.children if name.kind == "StatefulSet"))["spec"]["template"]
    for name in [name for name in world.children if name.kind == "ControllerRevision"]:
        if lost == "both" or world.letter(name.name.rpartition("-")[2]) == "A":
            del world.children[name]
    assert world.settle() == [], "what runs goes on as it is, and is remembered again"
    assert world.route == "A"
    kept = [child for child in world.children.values() if child["kind"] == "ControllerRevision"]
    assert [child["data"]["statefulset"]["spec"]["template"] for child in kept].count(template) == 1
    world.engine = lambda _: ready()
    assert world.settle() == ["route B", "A: gone"]


def test_a_suspended_model_that_failed_comes_to_rest_whatever_is_edited_meanwhile() -> None:
    world = World(engine=lambda _: starting())
    world.settle()
    world.edit(suspend=True)
    world.engine = lambda _: refused()
    world.settle()
    assert world.state("A") == "Failed"
    world.edit(standby={"modelDeploymentRef": {"name": "chat-small"}})
    assert world.settle() == []
