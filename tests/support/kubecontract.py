"""What our code relies on of the Kubernetes API. Run against the FakeCluster and against a real API server: the fake is as good as this."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from allod.adapters.errors import AlreadyExists, Conflict, NotFound
from allod.adapters.resources import MODELDEPLOYMENTS, OURS, resource
from allod.domain.manifest import ABSENT, ref
from allod.domain.names import API_VERSION
from allod.domain.plan import Event
from allod.reconcile.tell import again, event

if TYPE_CHECKING:
    from allod.adapters.kube import Kube
    from allod.domain.manifest import Manifest

NAMESPACE = "contract"
CONFIGMAPS = resource("v1", "ConfigMap")
SPEC = {
    "model": {"uri": "oci://registry.example.com/models/smollm2:1/model.gguf"},
    "engine": {"type": "LlamaCpp"},
    "resources": {"memory": "1Gi"},
    "replicas": 1,
}


def configmap(name: str, **data: str) -> Manifest:
    label, _, value = OURS.partition("=")
    meta = {"name": name, "namespace": NAMESPACE, "labels": {label: value}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def model(name: str) -> Manifest:
    return {"apiVersion": API_VERSION, "kind": "ModelDeployment", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": SPEC}


def version(manifest: Manifest) -> str:
    return str(manifest["metadata"]["resourceVersion"])


class KubeContract:
    """Inherit, and give a `kube` fixture with the namespace `contract` in it, and nothing in that."""

    async def test_an_apply_creates_and_a_get_finds(self, kube: Kube) -> None:
        made = await kube.apply(configmap("created", a="1"))
        assert await kube.get(ref(made)) == made
        assert made["metadata"]["uid"]

    async def test_the_same_apply_again_changes_nothing(self, kube: Kube) -> None:
        first = await kube.apply(configmap("same", a="1"))
        assert version(await kube.apply(configmap("same", a="1"))) == version(first)

    async def test_a_field_that_is_applied_no_longer_goes(self, kube: Kube) -> None:
        await kube.apply(configmap("fewer", a="1", b="2"))
        assert (await kube.apply(configmap("fewer", a="1")))["data"] == {"a": "1"}

    async def test_an_apply_takes_a_field_back_from_whoever_changed_it(self, kube: Kube) -> None:
        made = await kube.apply(configmap("forced", a="1"))
        await kube.replace({**made, "data": {"a": "changed", "theirs": "x"}})
        assert (await kube.apply(configmap("forced", a="1")))["data"] == {"a": "1", "theirs": "x"}

    async def test_an_apply_that_must_make_an_object_touches_none_that_is_there(self, kube: Kube) -> None:
        wanted = configmap("only-made", a="1")
        wanted["metadata"]["resourceVersion"] = ABSENT
        made = await kube.apply(wanted)
        assert made["data"] == {"a": "1"}
        with pytest.raises(Conflict):
            await kube.apply(wanted)
        assert (await kube.apply(configmap("only-made", b="2")))["data"] == {"b": "2"}, "what was made so goes as what was applied does"
        theirs = await kube.create(configmap("theirs", a="1"))
        with pytest.raises(Conflict):
            await kube.apply({**wanted, "metadata": {**wanted["metadata"], "name": "theirs"}})
        assert await kube.get(ref(theirs)) == theirs

    async def test_an_apply_to_one_object_neither_makes_it_nor_touches_another_of_its_name(self, kube: Kube) -> None:
        first = await kube.apply(configmap("this-one", a="1"))
        wanted = configmap("this-one", a="2")
        wanted["metadata"]["uid"] = first["metadata"]["uid"]
        assert (await kube.apply(wanted))["data"] == {"a": "2"}
        await kube.delete(first)
        with pytest.raises(Conflict):
            await kube.apply(wanted)
        with pytest.raises(NotFound):
            await kube.merge(wanted)
        other = await kube.create(configmap("this-one", a="theirs"))
        for write in (kube.apply, kube.merge):
            with pytest.raises(Conflict):
                await write(wanted)
        assert await kube.get(ref(other)) == other

    async def test_what_is_not_there_is_not_found(self, kube: Kube) -> None:
        with pytest.raises(NotFound):
            await kube.get(ref(configmap("nowhere")))

    async def test_creating_twice_says_so(self, kube: Kube) -> None:
        await kube.create(configmap("twice"))
        with pytest.raises(AlreadyExists):
            await kube.create(configmap("twice"))

    async def test_a_replace_of_an_old_version_is_a_conflict(self, kube: Kube) -> None:
        made = await kube.create(configmap("raced", a="1"))
        await kube.replace({**made, "data": {"a": "2"}})
        with pytest.raises(Conflict):
            await kube.replace({**made, "data": {"a": "3"}})

    async def test_a_delete_of_what_was_made_again_is_a_conflict(self, kube: Kube) -> None:
        first = await kube.create(configmap("again"))
        assert await kube.delete(first) is None
        await kube.create(configmap("again"))
        with pytest.raises(Conflict):
            await kube.delete(first)

    async def test_what_has_a_finalizer_is_there_until_that_is_taken_away(self, kube: Kube) -> None:
        held = configmap("held")
        held["metadata"]["finalizers"] = ["example.com/hold"]
        going = await kube.delete(await kube.create(held), grace=0)
        assert going is not None
        assert "deletionTimestamp" in going["metadata"]
        assert (await kube.get(ref(held)))["metadata"]["uid"] == going["metadata"]["uid"]

    async def test_what_happens_again_is_counted_in_its_event(self, kube: Kube) -> None:
        about = await kube.create(model("told"))
        now = datetime(2026, 11, 20, tzinfo=UTC)
        said = event(about, Event("RevisionCreated", "revision 5b21aa0c: the first one"), now, "allod-0")
        await kube.create(said)
        with pytest.raises(AlreadyExists):
            await kube.create(said)
        for times in (2, 3):
            told = await kube.merge(again(await kube.get(ref(said)), now + timedelta(minutes=times)))
            assert told["series"] == {"count": times, "lastObservedTime": f"2026-11-20T00:0{times}:00.000000Z"}
        assert told["note"] == "revision 5b21aa0c: the first one"

    async def test_a_delete_of_what_is_gone_is_no_error(self, kube: Kube) -> None:
        made = await kube.create(configmap("gone"))
        assert await kube.delete(made) is None
        assert await kube.delete(made) is None

    async def test_a_listing_is_complete_and_knows_its_moment(self, kube: Kube) -> None:
        made = [await kube.create(configmap(f"listed-{number}")) for number in range(3)]
        listing = await kube.list(CONFIGMAPS, NAMESPACE)
        found = {each["metadata"]["name"]: each for each in listing.items}
        assert {f"listed-{number}" for number in range(3)} <= found.keys()
        assert all(each["kind"] == "ConfigMap" and each["apiVersion"] == "v1" for each in listing.items)
        assert int(listing.resource_version) >= max(int(version(each)) for each in made)

    async def test_a_listing_leaves_out_what_has_not_our_label(self, kube: Kube) -> None:
        foreign = configmap("foreign")
        foreign["metadata"].pop("labels")
        await kube.create(foreign)
        assert "foreign" not in {each["metadata"]["name"] for each in (await kube.list(CONFIGMAPS)).items}

    async def test_a_spec_that_changes_gets_a_new_generation_and_a_status_does_not(self, kube: Kube) -> None:
        made = await kube.create(model("generations"))
        reported = await kube.patch_status(made, {"observedGeneration": 1})
        edited = await kube.replace({**reported, "spec": {**SPEC, "replicas": 3}})
        generations = [each["metadata"]["generation"] for each in (made, reported, edited)]
        assert generations == [1, 1, 2]
        assert edited["status"] == {"observedGeneration": 1}

    async def test_a_status_becomes_exactly_what_is_written(self, kube: Kube) -> None:
        first: dict[str, Any] = {"observedGeneration": 1, "url": "http://a", "traffic": {"target": "Revision", "name": "a"}}
        second: dict[str, Any] = {"observedGeneration": 2, "traffic": {"target": "Revision", "name": "b"}, "replicas": 1}
        reported = await kube.patch_status(await kube.create(model("exact")), first)
        assert reported["status"] == first
        assert (await kube.patch_status(reported, second))["status"] == second

    async def test_a_status_for_an_old_version_is_a_conflict(self, kube: Kube) -> None:
        made = await kube.create(model("fenced"))
        await kube.replace({**made, "spec": {**SPEC, "replicas": 2}})
        with pytest.raises(Conflict):
            await kube.patch_status(made, {"observedGeneration": 1})

    async def test_a_status_is_not_written_by_anything_else(self, kube: Kube) -> None:
        made = await kube.create({**model("split"), "status": {"observedGeneration": 9}})
        assert "status" not in made

    async def test_what_an_object_owns_goes_with_it(self, kube: Kube) -> None:
        owner = await kube.create(model("owner"))
        owned = configmap("owned")
        reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": "owner", "uid": owner["metadata"]["uid"]}
        owned["metadata"]["ownerReferences"] = [{**reference, "controller": True}]
        await kube.apply(owned)
        await kube.delete(owner)
        await self.until_gone(kube, owned)

    async def until_gone(self, kube: Kube, manifest: Manifest) -> None:
        """A real garbage collector takes its time."""
        with pytest.raises(NotFound):
            await kube.get(ref(manifest))

    async def test_the_kinds_that_are_served_are_known(self, kube: Kube) -> None:
        assert MODELDEPLOYMENTS.kind in await kube.served(API_VERSION)
        assert await kube.served("example.com/v1") == frozenset()
