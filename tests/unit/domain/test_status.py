from __future__ import annotations

import json
from typing import TYPE_CHECKING

from allod.domain.serving.seen import EngineFigures
from unit.domain.simulation import World, hung, ready, refused, serving_world, starting

if TYPE_CHECKING:
    from unit.domain.simulation import Status


def inspected(**figures: object) -> Status:
    """It serves, and its inspection was content."""
    document = {"verdict": "Fits", "reason": "Fits", "message": "it fits", **figures}
    done = {"name": "inspect", "ready": True, "state": {"terminated": {"exitCode": 0, "message": json.dumps(document)}}}
    return ready() | {"initContainerStatuses": [done]}


def test_what_was_reckoned_of_memory_is_shown_until_the_engine_says_it_better() -> None:
    figures = {"weights": 28 * 2**30, "kvCacheTokens": 400_000, "maxConcurrency": 24.4, "parameters": 14, "digest": "sha256:ab"}
    world = World(engine=lambda _: inspected(**figures))
    world.settle()
    estimate = {"weights": "28.0Gi", "kvCacheTokens": 400_000, "maxConcurrency": "24.4", "source": "Estimate", "parameters": 14}
    assert world.status["fit"] == estimate | {"digest": "sha256:ab"}
    assert world.condition("FitsMemory") == ("True", "Fits", "it fits")
    world.figures = EngineFigures(kv_cache_tokens=412_000, max_concurrency=25.1)
    world.settle()
    measured = {"kvCacheTokens": 412_000, "maxConcurrency": "25.1", "source": "Engine"}
    assert world.status["fit"] == estimate | {"digest": "sha256:ab"} | measured
    assert world.condition("FitsMemory") == (
        "True",
        "Measured",
        "the engine has room for 412000 tokens, 25.1 requests of full length",
    )
    world.figures = None
    world.settle()
    assert world.status["fit"]["source"] == "Engine"


def test_a_model_that_cannot_be_reckoned_is_said_to_be_unknown() -> None:
    unknown = inspected(verdict="Unknown", reason="KVCacheUnknown") | starting()
    world = World(engine=lambda _: unknown)
    world.settle()
    assert world.condition("FitsMemory")[:2] == ("Unknown", "KVCacheUnknown")
    assert world.condition("ModelAvailable")[:2] == ("True", "Inspected")
    assert "fit" not in world.status


def test_a_pod_that_a_quota_refuses_is_told_by_the_event_about_its_statefulset() -> None:
    world = World()
    world.reconcile()
    (revision,) = [name.name for name in world.children if name.kind == "StatefulSet"]
    forbidden = "exceeded quota: gpus"
    event = {"reason": "FailedCreate", "message": forbidden, "metadata": {}, "involvedObject": {"name": revision}}
    world.warnings = (event, event | {"involvedObject": {"name": "another"}, "message": "of another model"})
    world.reconcile()
    assert world.condition("Degraded") == ("True", "PodRefused", f"Kubernetes refuses the pod: {forbidden}")


def test_gpus_are_counted_by_the_pods_that_hold_them() -> None:
    world = serving_world(replicas=3)
    assert world.status["gpus"] == 3
    assert world.condition("GPUsAvailable") == ("True", "Reserved", "3 nvidia.com/gpu reserved by 3 pods")


def test_gpus_are_told_of_the_revision_that_serves_on_though_the_spec_wants_none_any_more() -> None:
    world = serving_world(replicas=2)
    world.engine = lambda letter: refused() if letter == "B" else ready()
    world.edit(engine={"type": "LlamaCpp"}, model={"uri": "pvc://models/chat.gguf"}, resources={"memory": "32Gi"})
    world.settle()
    assert (world.route, world.status["gpus"]) == ("A", 2)
    world.gpus = 1
    del world.pods[max(world.pods)]
    world.settle()
    assert (world.status["gpus"], world.status["ready"]) == (1, "1/2")
    assert world.condition("GPUsAvailable")[:2] == ("False", "InsufficientGPUs")


def test_a_revision_says_what_state_it_is_in_at_each_step() -> None:
    world = World(gpus=0, engine=lambda _: starting())
    world.settle()
    assert world.state("A") == "Pending"
    world.gpus = 1
    world.settle()
    assert world.state("A") == "Starting"
    world.spec["replicas"] = 2
    world.gpus, world.engine = 1, lambda _: ready()
    world.settle()
    assert world.state("A") == "Ready"
    world.gpus = 2
    world.settle()
    assert world.state("A") == "Good"


def test_a_part_of_the_pods_that_is_lost_is_degraded_and_ready() -> None:
    world = serving_world(replicas=2)
    world.pods[min(world.pods)]["status"] = hung()
    world.reconcile()
    name = world.status["activeRevision"]
    assert world.condition("Ready") == ("True", "Serving", f"1 of 2 pods of revision {name} serve")
    assert world.condition("Degraded") == ("True", "PodsNotReady", f"1 of 2 pods of revision {name} serve")
    assert world.status["ready"] == "1/2"


def test_a_model_all_of_whose_pods_are_lost_is_unavailable_and_its_revision_is_kept() -> None:
    world = serving_world()
    world.engine = lambda _: hung()
    assert world.settle() == []
    assert world.condition("Ready")[:2] == ("False", "Unavailable")
    assert world.state("A") == "Unavailable"
    assert [line.split(":")[0] for line in world.told()] == ["Warning PodsNotReady", "Warning NotReady"]


def test_more_replicas_are_no_degradation_while_they_start() -> None:
    world = serving_world()
    world.gpus = 1
    world.edit(replicas=2)
    world.reconcile()
    world.kubernetes()
    world.pods[max(world.pods)]["status"] = starting()
    world.reconcile()
    assert world.condition("Degraded")[0] == "False"
    assert world.condition("Progressing")[:2] == ("True", "Starting")


def test_a_model_that_is_missing_is_said_by_its_own_condition() -> None:
    world = World(engine=lambda _: refused("ModelMissing", "Missing"))
    world.settle()
    assert world.condition("ModelAvailable")[:2] == ("False", "ModelMissing")
    assert world.condition("FitsMemory")[:2] == ("Unknown", "NotReckoned")
