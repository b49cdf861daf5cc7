"""Adapters through the whole shell: one list and one annotation are written, and nothing when nothing changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from allod.adapters.errors import Conflict
from allod.api.adapter import Adapter
from allod.domain.names import ADAPTERS
from allod.domain.serving.adapters.adapters import version
from allod.domain.serving.health.beat import AdapterSaid, Beat
from support.drive import Drive

ONE = {"name": "one", "uri": "pvc://loras/one", "rank": 8}
TWO = {"name": "two", "uri": "pvc://loras/two", "rank": 8}


@pytest.fixture
async def drive() -> Drive:
    """Two pods that have loaded `one`."""
    made = Drive()
    made.create(model={"uri": "pvc://models/smollm2"}, engine={"type": "vLLM"}, resources={"memory": "8Gi"}, adapters=[ONE])
    await made.settle()
    told(made, ONE)
    await made.reconcile()
    made.cluster.writes.clear()
    return made


def told(drive: Drive, *listed: dict[str, Any]) -> None:
    """Each pod says that it has these."""

    said = {each["name"]: AdapterSaid(version(Adapter.model_validate(each)), "") for each in listed}
    beat = Beat("Serving", datetime(2026, 11, 20, tzinfo=UTC), "well", adapters=said)
    drive.ears.beats = {pod["metadata"]["uid"]: beat for pod in drive.cluster.of_kind("Pod")}


def writes(drive: Drive) -> list[str]:
    found = [f"{verb} {target.kind}" for verb, target in drive.cluster.writes if target.kind != "Event"]
    drive.cluster.writes.clear()
    return found


async def test_a_new_adapter_writes_one_list_and_one_annotation_for_each_pod(drive: Drive) -> None:
    drive.edit(adapters=[ONE, TWO])
    drive.cluster.writes.clear()
    await drive.reconcile()
    assert writes(drive) == ["apply ConfigMap", "merge Pod", "merge Pod", "patch status ModelDeployment"]
    await drive.reconcile()
    assert writes(drive) == []
    told(drive, ONE, TWO)
    await drive.reconcile()
    assert writes(drive) == ["patch status ModelDeployment"]
    assert [each["state"] for each in drive.model()["status"]["adapters"]] == ["Loaded", "Loaded"]
    assert {pod["metadata"]["annotations"].keys() >= {ADAPTERS} for pod in drive.cluster.of_kind("Pod")} == {True}


async def test_an_unchanged_world_with_adapters_is_not_written_to(drive: Drive) -> None:
    drive.cluster.reads.clear()
    assert not await drive.reconcile()
    drive.restart()
    assert not await drive.reconcile()
    assert (drive.cluster.writes, drive.cluster.reads) == ([], [])


async def test_a_pod_that_was_replaced_meanwhile_holds_nothing_up(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    async def replaced(_: object) -> None:
        raise Conflict("the uid is another one")

    monkeypatch.setattr(drive.cluster, "merge", replaced)
    drive.edit(adapters=[ONE, TWO])
    assert await drive.reconcile()
    assert drive.condition("AdaptersReady")["reason"] == "AdapterPending"
