"""What is written, and to what: never to an object of somebody else, and nothing is kept of what is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from allod.adapters.errors import Conflict, Invalid
from allod.domain.manifest import Ref, ref
from allod.domain.names import MANAGED_BY
from allod.domain.plan import Ending, Plan
from allod.reconcile.apply import Apply
from allod.runtime.routing import model_ref
from allod.runtime.store import Store
from support.drive import NAMESPACE, Drive

if TYPE_CHECKING:
    from collections.abc import Callable

    from allod.domain.manifest import Manifest

SERVICE = Ref("v1", "Service", NAMESPACE, "chat")
THEIRS: Manifest = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "chat", "namespace": NAMESPACE},
    "spec": {"selector": {"app": "theirs"}},
}


@pytest.fixture
def drive() -> Drive:
    return Drive()


async def settled(drive: Drive, **changes: Any) -> str:
    drive.create(**changes)
    await drive.settle()
    return str(drive.model()["status"]["activeRevision"])


def one_more_port(service: Manifest) -> None:
    service["spec"]["ports"].append({"name": "debug", "port": 1})


async def test_a_name_that_gets_free_is_taken_though_no_watch_tells_of_it(drive: Drive) -> None:
    drive.cluster.add(THEIRS)
    drive.create()
    await drive.settle()
    assert drive.condition("Degraded")["reason"] == "NameTaken"
    drive.cluster.remove(SERVICE)
    await drive.reconcile()  # a minute later
    await drive.settle()
    assert drive.condition("Ready")["status"] == "True"


async def test_what_somebody_makes_between_our_look_and_our_write_is_not_taken(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    drive.create()
    get = drive.cluster.get

    async def made_just_after(target: Ref) -> Manifest:
        try:
            return await get(target)
        finally:
            if target == SERVICE and SERVICE not in drive.cluster.objects:
                drive.cluster.add(THEIRS)

    monkeypatch.setattr(drive.cluster, "get", made_just_after)
    with pytest.raises(Conflict):
        await drive.reconcile()
    assert "ownerReferences" not in drive.cluster.objects[SERVICE]["metadata"]
    await drive.settle()
    assert drive.condition("Degraded")["reason"] == "NameTaken"
    assert drive.cluster.objects[SERVICE]["spec"] == THEIRS["spec"]


@pytest.mark.parametrize("verb", ["apply", "merge"])
async def test_what_somebody_puts_in_the_place_of_a_child_before_our_write_is_not_taken(
    drive: Drive, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    await settled(drive)
    write = getattr(drive.cluster, verb)

    async def replaced_just_before(manifest: Manifest) -> Manifest:
        if ref(manifest) == SERVICE:
            drive.cluster.remove(SERVICE)
            drive.cluster.add(THEIRS)
        answer: Manifest = await write(manifest)
        return answer

    async def clash(_: Manifest) -> Manifest:
        raise Invalid("spec.ports[1].port: duplicate")

    monkeypatch.setattr(drive.cluster, "apply", clash)  # without it nothing is merged
    monkeypatch.setattr(drive.cluster, verb, replaced_just_before)
    drive.cluster.edit(SERVICE, one_more_port)
    with pytest.raises(Conflict):
        await drive.reconcile()
    assert drive.cluster.objects[SERVICE]["spec"] == THEIRS["spec"]
    assert "ownerReferences" not in drive.cluster.objects[SERVICE]["metadata"]


def normalising(store: Callable[..., Manifest]) -> Callable[..., Manifest]:
    """A habit of the real one."""

    def stored(verb: str, target: Ref, new: Manifest, **more: bool) -> Manifest:
        if target.kind == "PodDisruptionBudget":
            new = {**new, "spec": {**new["spec"], "maxUnavailable": "1 (as I write it)"}}
        return store(verb, target, new, **more)

    return stored


async def test_what_the_api_server_writes_in_its_own_way_is_sent_once(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive.cluster, "_store", normalising(drive.cluster._store))  # noqa: SLF001  # the fake's own hand
    await settled(drive)
    asked: list[Ref] = []
    apply = drive.cluster.apply

    async def counting(manifest: Manifest) -> Manifest:
        asked.append(Ref(manifest["apiVersion"], manifest["kind"], NAMESPACE, manifest["metadata"]["name"]))
        return await apply(manifest)

    monkeypatch.setattr(drive.cluster, "apply", counting)
    await drive.reconcile()
    assert asked == []


async def test_a_child_that_lost_the_label_by_which_we_watch_gets_it_back_and_is_seen_again(drive: Drive) -> None:
    revision = await settled(drive)
    target = Ref("apps/v1", "StatefulSet", NAMESPACE, f"chat-{revision}")
    drive.cluster.edit(target, lambda it: it["metadata"]["labels"].pop(MANAGED_BY))
    await drive.settle()
    assert drive.cluster.objects[target]["metadata"]["labels"][MANAGED_BY] == "allod"
    assert drive.condition("Ready")["status"] == "True"
    drive.cluster.reads.clear()
    await drive.reconcile()
    assert drive.cluster.reads == [], "it is known, so nobody has to ask for it"


async def test_of_a_model_that_is_gone_nothing_is_remembered(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive.cluster, "_store", normalising(drive.cluster._store))  # noqa: SLF001  # the fake's own hand
    await settled(drive)
    models = drive._models  # noqa: SLF001  # a leak shows nowhere else
    assert models._begun, "or this says nothing"  # noqa: SLF001  # the same
    assert models._apply._settled, "or this says nothing"  # noqa: SLF001  # the same
    drive.cluster.remove(model_ref(NAMESPACE, "chat"))
    await drive.settle()
    assert (models._begun, models._apply._settled) == (set(), {})  # noqa: SLF001  # the same


async def test_a_pod_with_a_finalizer_that_is_ended_at_once_stays_known(drive: Drive) -> None:
    await settled(drive)
    target = next(each for each in drive.cluster.objects if each.kind == "Pod")
    drive.cluster.edit(target, lambda pod: pod["metadata"].update(finalizers=["example.com/hold"]))
    store = Store()
    await Apply(drive.cluster, store, "allod-0").plan(drive.model(), Plan(endings=(Ending(drive.cluster.objects[target], 0),)))
    known = store.get(target)
    assert known is not None
    assert "deletionTimestamp" in known["metadata"]
