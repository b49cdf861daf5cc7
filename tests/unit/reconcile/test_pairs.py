"""A model and its standby through the whole shell: who is looked at when, and what is written."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from allod.adapters.errors import Invalid
from allod.domain.manifest import Ref
from allod.domain.serving.health.beat import Beat
from allod.runtime.routing import model_ref
from support.drive import NAMESPACE, SPEC, Drive

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from allod.domain.manifest import Manifest

STANDBY = {"modelDeploymentRef": {"name": "small"}}
ALIAS = {"model": SPEC["model"] | {"aliases": ["chat"]}}


@pytest.fixture
def drive() -> Drive:
    return Drive()


def selector(drive: Drive, of: str = "chat") -> dict[str, str]:
    found: dict[str, str] = drive.cluster.objects[Ref("v1", "Service", NAMESPACE, of)]["spec"]["selector"]
    return found


async def pair(drive: Drive, **small: Any) -> None:
    drive.create("small", **(ALIAS | small))
    drive.create("chat", standby=STANDBY)
    await drive.settle()


def lose(drive: Drive, model: str) -> None:
    """Its pods say that they hang, as our own connections hear it."""
    for pod in drive.cluster.of_kind("Pod"):
        if pod["metadata"]["labels"]["allod.dev/model"] == model:
            drive.ears.beats[pod["metadata"]["uid"]] = Beat("Faulty", drive.now, "no engine step for 3.0 s with 1 request in flight")


async def test_one_write_moves_the_service_to_the_standbys_pods_and_one_moves_it_back(drive: Drive) -> None:
    await pair(drive)
    drive.edit("chat", health={"failover": {"holdFor": "0s"}})
    await drive.settle()
    home = selector(drive)
    lose(drive, "chat")
    drive.cluster.writes.clear()
    await drive.reconcile("chat")
    services = [target for verb, target in drive.cluster.writes if verb == "apply"]
    assert services == [Ref("v1", "Service", NAMESPACE, "chat")]
    assert selector(drive) == selector(drive, "small")
    drive.ears.beats.clear()
    await drive.settle()
    assert selector(drive) == home


async def test_a_pod_that_hangs_is_ended_after_traffic_has_left_it_and_not_before(drive: Drive) -> None:
    await pair(drive)
    lose(drive, "chat")
    await drive.reconcile("chat")
    assert not [target for verb, target in drive.cluster.writes if (verb, target.kind) == ("delete", "Pod")], "before the switch was seen"
    before = {pod["metadata"]["uid"] for pod in drive.cluster.of_kind("Pod")}
    await drive.reconcile("chat")
    ended = [target.name for verb, target in drive.cluster.writes if (verb, target.kind) == ("delete", "Pod")]
    assert len(ended) == 2
    drive.ears.beats.clear()
    await drive.settle()
    assert len({pod["metadata"]["uid"] for pod in drive.cluster.of_kind("Pod")} - before) == 2


async def test_the_service_follows_the_standby_to_its_next_revision(drive: Drive) -> None:
    await pair(drive)
    lose(drive, "chat")
    await drive.settle()
    before = selector(drive)
    drive.edit("small", engine={"type": "LlamaCpp", "maxModelLen": 1024})
    await drive.settle()
    assert selector(drive) == selector(drive, "small") != before


async def test_a_cold_standby_is_woken_without_anybody_else_writing_to_it(drive: Drive) -> None:
    await pair(drive, replicas=0)
    assert drive.model("small")["status"]["replicas"] == 0
    lose(drive, "chat")
    await drive.reconcile("chat")
    await drive.settle()
    assert drive.model("small")["status"]["replicas"] == 1
    assert selector(drive)["allod.dev/model"] == "small"
    assert drive.model("small")["spec"]["replicas"] == 0, "the spec is its owner's"


async def test_more_models_at_once_than_one_pair_of_eyes_may_move_are_left_where_they_are(drive: Drive) -> None:
    drive.create("small", **ALIAS | {"model": SPEC["model"] | {"aliases": [f"chat-{number}" for number in range(12)]}})
    for number in range(12):
        drive.create(f"chat-{number}", standby=STANDBY)
    await drive.settle()
    for number in range(12):
        lose(drive, f"chat-{number}")
    for number in range(12):
        await drive.reconcile(f"chat-{number}")
    moved = [number for number in range(12) if selector(drive, f"chat-{number}")["allod.dev/model"] == "small"]
    assert moved == list(range(10))
    assert drive.condition("Degraded", "chat-11")["reason"] == "BlastRadius"


async def test_a_new_leader_moves_no_more_than_the_old_one_left_to_move(drive: Drive) -> None:
    drive.create("small", **ALIAS | {"model": SPEC["model"] | {"aliases": [f"chat-{number}" for number in range(12)]}})
    for number in range(12):
        drive.create(f"chat-{number}", standby=STANDBY)
    await drive.settle()
    for number in range(9):
        lose(drive, f"chat-{number}")
        await drive.reconcile(f"chat-{number}")
    drive.restart()
    for number in (9, 10):
        lose(drive, f"chat-{number}")
        await drive.reconcile(f"chat-{number}")  # it looks at these before any of those that the old one moved
    assert selector(drive, "chat-9")["allod.dev/model"] == "small"
    assert drive.condition("Degraded", "chat-10")["reason"] == "BlastRadius"


async def test_eight_workers_move_no_more_models_than_one_would(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"chat-{number}" for number in range(15)]
    drive.create("small", **ALIAS | {"model": SPEC["model"] | {"aliases": names}})
    for name in names:
        drive.create(name, standby=STANDBY)
    await drive.settle()
    for name in names:
        lose(drive, name)
    apply = drive.cluster.apply

    async def slowly(manifest: Manifest) -> Manifest:
        await asyncio.sleep(0)
        return await apply(manifest)

    monkeypatch.setattr(drive.cluster, "apply", slowly)
    todo = [*names]

    async def worker() -> None:
        while todo:
            await drive.reconcile(todo.pop(0))

    await asyncio.gather(*(worker() for _ in range(8)))
    assert sum(selector(drive, name)["allod.dev/model"] == "small" for name in names) == 10


@pytest.mark.parametrize("replicas", [2, 0], ids=["warm", "cold"])
async def test_an_edit_that_a_policy_refuses_does_not_hold_up_a_failover(
    drive: Drive, monkeypatch: pytest.MonkeyPatch, replicas: int
) -> None:
    await pair(drive, replicas=replicas)
    drive.edit("chat", engine={"type": "LlamaCpp", "maxModelLen": 2048})
    known, apply = set(drive.cluster.names("StatefulSet")), drive.cluster.apply

    async def policy(manifest: Manifest) -> Manifest:
        if manifest["kind"] == "StatefulSet" and manifest["metadata"]["name"] not in known:
            raise Invalid("admission webhook denied the request: unsigned image")
        return await apply(manifest)

    monkeypatch.setattr(drive.cluster, "apply", policy)
    await drive.reconcile("chat")
    assert drive.condition("Degraded")["reason"] == "Refused"
    lose(drive, "chat")
    await drive.settle()
    assert selector(drive)["allod.dev/model"] == "small"


def refuse_service(drive: Drive, monkeypatch: pytest.MonkeyPatch, *models: str) -> None:
    """As a webhook or a missing right does."""

    def but_for(write: Callable[[Manifest], Awaitable[Manifest]]) -> Callable[[Manifest], Awaitable[Manifest]]:
        async def forbidden(manifest: Manifest) -> Manifest:
            if manifest["kind"] == "Service" and manifest["metadata"]["name"] in models:
                raise Invalid("apply Service: forbidden")
            return await write(manifest)

        return forbidden

    for verb in ("apply", "merge"):
        monkeypatch.setattr(drive.cluster, verb, but_for(getattr(drive.cluster, verb)))


async def test_a_failover_that_is_refused_is_not_told_as_done(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    await pair(drive)
    home, before = selector(drive), drive.model()["status"]
    refuse_service(drive, monkeypatch, "chat")
    lose(drive, "chat")
    await drive.reconcile("chat")
    status = drive.model()["status"]
    assert selector(drive) == home
    assert {name: status.get(name) for name in ("traffic", "history")} == {name: before.get(name) for name in ("traffic", "history")}
    assert (drive.condition("Ready")["status"], drive.condition("Ready")["reason"]) == ("False", "Refused")
    assert drive.condition("FailedOver")["status"] == "False"
    assert not any(event["reason"] == "FailedOver" for event in drive.cluster.of_kind("Event"))
    monkeypatch.undo()
    drive.now += timedelta(minutes=1)
    await drive.settle()
    assert selector(drive)["allod.dev/model"] == "small"
    assert drive.model()["status"]["history"][0]["action"] == "FailedOver"
    assert drive.condition("Ready")["reason"] == "StandbyServing"


async def test_failovers_that_are_refused_take_nobody_elses_place(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"chat-{number}" for number in range(11)]
    drive.create("small", **ALIAS | {"model": SPEC["model"] | {"aliases": names}})
    for name in names:
        drive.create(name, standby=STANDBY)
    await drive.settle()
    refuse_service(drive, monkeypatch, *names[:10])
    for name in names:
        lose(drive, name)
        await drive.reconcile(name)
    assert [selector(drive, name)["allod.dev/model"] for name in names] == [*names[:10], "small"]


async def test_a_rollout_whose_service_is_refused_goes_on_with_what_serves(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    drive.create("chat")
    await drive.settle()
    before = drive.model()["status"]["activeRevision"]
    refuse_service(drive, monkeypatch, "chat")
    drive.edit("chat", engine={"type": "LlamaCpp", "maxModelLen": 2048})
    await drive.settle()
    status = drive.model()["status"]
    assert (status["activeRevision"], status["traffic"]["name"], drive.condition("Ready")["status"]) == (before, before, "True")
    assert drive.condition("Degraded")["message"] == "apply Service: forbidden"
    assert not any(step["action"] == "TrafficMoved" for step in status["history"])


async def test_a_delete_that_is_refused_holds_back_neither_status_nor_history(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    await pair(drive)
    delete = drive.cluster.delete

    async def forbidden(live: Manifest, *how: Any, **more: Any) -> Manifest | None:
        if live["kind"] == "NetworkPolicy":
            raise Invalid("delete NetworkPolicy: forbidden")
        return await delete(live, *how, **more)

    monkeypatch.setattr(drive.cluster, "delete", forbidden)
    drive.cluster.edit(model_ref(NAMESPACE, "chat"), lambda model: model["spec"].pop("standby"))
    drive.edit("chat", engine={"type": "LlamaCpp", "maxModelLen": 2048})
    await drive.settle()
    status = drive.model()["status"]
    assert status["activeRevision"] == status["desiredRevision"]
    assert drive.condition("Ready")["observedGeneration"] == drive.model()["metadata"]["generation"]
    assert drive.condition("Degraded")["message"] == "delete NetworkPolicy: forbidden"
    assert status["history"][0]["action"] == "TrafficMoved"
    drive.cluster.writes.clear()
    drive.now += timedelta(minutes=1)
    await drive.reconcile("chat")
    assert drive.cluster.writes == [], "a refusal that lasts is told once"


async def test_no_pod_is_started_without_its_policy(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    apply = drive.cluster.apply

    async def refuse(manifest: Manifest) -> Manifest:
        if manifest["kind"] == "NetworkPolicy":
            raise Invalid("apply NetworkPolicy: forbidden")
        return await apply(manifest)

    monkeypatch.setattr(drive.cluster, "apply", refuse)
    drive.create()
    await drive.settle()
    assert drive.cluster.names("StatefulSet") == ()
    assert drive.condition("Ready")["message"] == "apply NetworkPolicy: forbidden"


async def test_a_standby_whose_pods_do_not_know_the_name_yet_gets_no_traffic(drive: Drive) -> None:
    await pair(drive, model=SPEC["model"])
    assert drive.condition("StandbyReady")["reason"] == "StandbyName"
    for each in drive.cluster.of_kind("StatefulSet"):
        drive.nodes.fates[each["metadata"]["name"]] = "Ready"
    drive.nodes.everywhere = "Starting"
    drive.edit("small", **ALIAS)
    await drive.settle()
    assert drive.condition("StandbyReady")["reason"] == "StandbyNotReady"
    assert drive.condition("StandbyReady")["message"].startswith("the pods of small that serve do not know chat yet")
    lose(drive, "chat")
    await drive.settle()
    assert selector(drive) != selector(drive, "small")
    drive.nodes.everywhere = "Ready"
    await drive.settle()
    assert selector(drive) == selector(drive, "small")
