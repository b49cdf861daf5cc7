"""Weights that are exchanged behind the back of a revision."""

from __future__ import annotations

import json
from typing import Any

from unit.domain.simulation import World, ready

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def reads(digest: str | None) -> dict[str, Any]:
    """A pod that serves, whose inspection took this fingerprint."""
    document = {"verdict": "Fits", "reason": "Fits", "message": "it fits"} | ({"digest": digest} if digest else {})
    done = {"name": "inspect", "ready": True, "state": {"terminated": {"exitCode": 0, "message": json.dumps(document)}}}
    return ready() | {"initContainerStatuses": [done]}


def world_that_reads(digest: str | None) -> World:
    world = World(engine=lambda _letter: reads(digest))
    world.settle()
    return world


def test_the_first_fingerprint_of_a_revision_stands_in_the_status() -> None:
    assert world_that_reads(OLD).status["revisions"][0]["digest"] == OLD
    assert "digest" not in world_that_reads(None).status["revisions"][0]


def test_a_pod_that_reads_other_weights_is_told_and_serves_on() -> None:
    world = world_that_reads(OLD)
    world.engine = lambda _letter: reads(NEW)
    assert world.settle() == []
    answer, reason, message = world.condition("Degraded")
    assert (answer, reason, world.condition("Ready")[0]) == ("True", "WeightsChanged", "True")
    assert "began with: sha256:bbbbbbbbbbbb and not sha256:aaaaaaaaaaaa; give new weights a path of their own" in message
    assert f"allod.dev/accept-weights={NEW}" in message
    assert world.status["revisions"][0]["digest"] == OLD
    assert world.told()[-1].startswith("Warning WeightsChanged: chat-A-0 read other weights than revision A began with")


def test_a_person_may_accept_them() -> None:
    world = world_that_reads(OLD)
    world.engine = lambda _letter: reads(NEW)
    world.annotations["allod.dev/accept-weights"] = NEW
    world.settle()
    assert (world.condition("Degraded")[0], world.status["revisions"][0]["digest"]) == ("False", NEW)
    world.engine = lambda _letter: reads(OLD)
    world.settle()
    assert world.condition("Degraded")[1] == "WeightsChanged", "what was accepted is what it runs from now on"


def test_the_old_files_put_back_end_it() -> None:
    world = world_that_reads(OLD)
    world.engine = lambda _letter: reads(NEW)
    world.settle()
    world.engine = lambda _letter: reads(OLD)
    world.settle()
    assert world.condition("Degraded")[0] == "False"


def test_another_revision_begins_with_its_own() -> None:
    world = world_that_reads(OLD)
    world.engine = lambda letter: reads(OLD if letter == "A" else NEW)
    world.edit(model__uri="pvc://models/smollm2-v2")
    world.settle()
    assert (world.route, world.condition("Degraded")[0], world.status["revisions"][0]["digest"]) == ("B", "False", NEW)


def test_a_lost_status_takes_what_runs_for_the_first() -> None:
    world = world_that_reads(OLD)
    world.engine = lambda _letter: reads(NEW)
    world.settle()
    world.lose_status()
    world.settle()
    assert (world.condition("Degraded")[0], world.status["revisions"][0]["digest"]) == ("False", NEW)
