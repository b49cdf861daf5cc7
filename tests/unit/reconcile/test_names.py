"""Three models of one second and one served name, through the whole shell: who is refused from the start never gets a pod."""

from __future__ import annotations

import asyncio
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest

from allod.reconcile.claims import neighbours
from allod.runtime.routing import model_ref
from allod.runtime.store import Store
from support.drive import NAMESPACE, SPEC, Drive

if TYPE_CHECKING:
    from allod.domain.manifest import Manifest
    from support.nodes import Fate

NAMES = ("a", "b", "c")
SHARED: dict[str, Any] = {"model": SPEC["model"] | {"servedName": "qwen"}, "replicas": 1}
STORIES = [
    story
    for story in permutations([(name, what) for name in NAMES for what in ("made", "seen")])
    if all(story.index((name, "made")) < story.index((name, "seen")) for name in NAMES)
]
"""Every order in which three models are made and looked at."""


@pytest.fixture
def drive() -> Drive:
    return Drive()


def running(drive: Drive) -> set[str]:
    """Models with pods, or with a StatefulSet that will make some."""
    return {each["metadata"]["labels"]["allod.dev/model"] for kind in ("Pod", "StatefulSet") for each in drive.cluster.of_kind(kind)}


def refused(drive: Drive) -> set[str]:
    return {name for name in NAMES if model_ref(NAMESPACE, name) in drive.cluster.objects and taken(drive, name)}


def taken(drive: Drive, name: str) -> bool:
    return bool(drive.condition("Degraded", name).get("reason") == "NameTaken")


@pytest.mark.parametrize("fate", ["Ready", "Starting"])
async def test_whatever_comes_first_one_model_runs_and_the_others_never_do(fate: Fate) -> None:
    for story in STORIES:
        drive = Drive()
        drive.nodes.everywhere = fate
        ran: set[str] = set()
        for name, what in story:
            if what == "made":
                drive.create(name, **SHARED)
            else:
                await drive.reconcile(name)
                ran |= running(drive)
        await drive.settle()
        ran |= running(drive)
        assert len(ran) == 1, story
        assert refused(drive) == set(NAMES) - ran, story
        says = f"{next(iter(ran))} {'already serves' if fate == 'Ready' else 'was already started as'} qwen"
        assert {drive.condition("Ready", name)["message"].partition(":")[0] for name in refused(drive)} == {says}, story


async def test_the_name_of_a_model_that_is_gone_passes_to_the_next_one(drive: Drive) -> None:
    for name in NAMES:
        drive.create(name, **SHARED)
    await drive.settle()
    for name, next_one in (("a", "b"), ("b", "c")):
        assert running(drive) == {name}
        drive.cluster.remove(model_ref(NAMESPACE, name))
        await drive.settle()
        assert running(drive) == {next_one}


async def test_one_that_serves_is_not_taken_down_by_newcomers(drive: Drive) -> None:
    drive.create("c", **SHARED)
    await drive.settle()
    drive.cluster.writes.clear()
    for name in ("a", "b"):
        drive.create(name, **SHARED)
        await drive.settle()
    assert running(drive) == {"c"}
    assert refused(drive) == {"a", "b"}
    assert drive.condition("Ready", "c")["status"] == "True"
    assert not [target for _, target in drive.cluster.writes if target.name.startswith("c")]


@pytest.mark.parametrize(("fate", "stays"), [("Starting", "a"), ("Ready", "b")])
async def test_of_two_that_started_unseen_by_each_other_one_gives_its_gpu_back(drive: Drive, fate: Fate, stays: str) -> None:
    drive.create("b", **SHARED)
    await drive.reconcile("b")
    drive.nodes.everywhere = fate
    drive.nodes.step()
    # The leader was killed before the status was written, and the next one looks at the other first: it cannot see that one was started.
    status = drive.model("b")["status"]
    drive.cluster.set_status(model_ref(NAMESPACE, "b"), {})
    drive.restart()
    drive.create("a", **SHARED)
    await drive.reconcile("a")
    drive.cluster.set_status(model_ref(NAMESPACE, "b"), status)
    assert running(drive) == {"a", "b"}
    await drive.reconcile("b")
    await drive.settle()
    assert running(drive) == {stays}
    assert refused(drive) == {"a", "b"} - {stays}


async def test_of_three_that_workers_look_at_in_the_same_moment_one_starts(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("c", "b", "a"):
        drive.create(name, **SHARED)
    apply = drive.cluster.apply

    async def slowly(manifest: Manifest) -> Manifest:
        await asyncio.sleep(0)
        return await apply(manifest)

    monkeypatch.setattr(drive.cluster, "apply", slowly)
    await asyncio.gather(*(drive.reconcile(name) for name in ("c", "b", "a")))
    started = {target.name.rpartition("-")[0] for _, target in drive.cluster.writes if target.kind == "StatefulSet"}
    assert len(started) == 1
    await drive.settle()
    assert running(drive) == started


async def test_a_name_is_free_when_the_one_that_had_it_has_moved_to_another(drive: Drive) -> None:
    drive.create("a", **SHARED)
    await drive.settle()
    drive.create("b", **SHARED)
    await drive.settle()
    drive.edit("a", model=SHARED["model"] | {"servedName": "qwen-2"})
    await drive.reconcile("b")
    assert taken(drive, "b"), "a still serves under the name"
    await drive.settle()
    assert running(drive) == {"a", "b"}
    assert refused(drive) == set()


def test_of_many_models_a_look_at_one_reads_those_that_have_to_do_with_its_names() -> None:
    drive = Drive()
    for number in range(200):
        drive.create(f"model-{number}", standby={"modelDeploymentRef": {"name": "small"}})
    for name, spec in (("chat", {}), ("rival", {"model": SPEC["model"] | {"aliases": ["chat"]}}), ("small", {})):
        drive.create(name, **spec)
    store = Store()
    for each in drive.cluster.objects.values():
        store.put(each)
    found = {name: [each.name for each in neighbours(store, drive.model(name), ())] for name in ("chat", "model-7", "small")}
    assert (found["chat"], found["model-7"], len(found["small"])) == (["rival"], [], 200)
