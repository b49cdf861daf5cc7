from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from allod.adapters.kube import Listing
from allod.adapters.resources import REFUSALS, STATEFULSETS, resource
from allod.domain.manifest import Ref, ref
from allod.domain.names import API_VERSION, MODEL
from allod.runtime.store import Store

if TYPE_CHECKING:
    from allod.domain.manifest import Manifest

PODS = resource("v1", "Pod")


def thing(kind: str = "StatefulSet", name: str = "chat-1", *, uid: str = "u1", version: int = 5, **more: Any) -> Manifest:
    api_version = {"StatefulSet": "apps/v1"}.get(kind, "v1")
    meta = {"name": name, "namespace": "ai", "uid": uid, "resourceVersion": str(version), **more.pop("metadata", {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **more}


CHAT = ref(thing())


class Heard:
    def __init__(self) -> None:
        self.news: list[tuple[str, str]] = []

    def __call__(self, old: Manifest | None, new: Manifest | None) -> None:
        some = new or old
        assert some is not None
        self.news.append(("new" if old is None else "gone" if new is None else "changed", some["metadata"]["name"]))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def store(heard: Heard) -> Store:
    return Store(heard)


def version(store: Store, target: Ref = CHAT) -> str:
    found = store.get(target)
    assert found is not None
    return str(found["metadata"]["resourceVersion"])


def test_an_older_state_never_replaces_a_newer_one(store: Store, heard: Heard) -> None:
    store.put(thing(version=10))
    store.put(thing(version=9))
    assert version(store) == "10"
    assert heard.news == [("new", "chat-1")]


def test_versions_are_compared_as_numbers(store: Store) -> None:
    store.put(thing(version=99))
    store.put(thing(version=100))
    assert version(store) == "100"


def test_the_echo_of_an_own_write_is_no_news(store: Store, heard: Heard) -> None:
    store.wrote(thing(version=7))
    store.put(thing(version=6))
    store.put(thing(version=7))
    assert heard.news == []
    store.put(thing(version=8))
    assert heard.news == [("changed", "chat-1")]


def test_a_late_event_does_not_bring_back_what_we_deleted(store: Store, heard: Heard) -> None:
    store.put(thing(version=5))
    store.deleted(thing(version=5))
    store.put(thing(version=6))
    assert store.get(CHAT) is None
    assert heard.news == [("new", "chat-1")]


def test_a_late_deletion_does_not_remove_a_new_object_of_the_same_name(store: Store) -> None:
    store.put(thing(uid="new", version=20))
    store.drop(thing(uid="old", version=10))
    assert version(store) == "20"


def test_a_new_object_replaces_one_of_the_same_name_in_every_index(store: Store) -> None:
    store.put(thing(uid="old", version=10, metadata={"ownerReferences": [{"uid": "mother"}]}))
    store.put(thing(uid="new", version=20, metadata={"ownerReferences": [{"uid": "other"}]}))
    assert store.owned("mother") == ()
    assert [each["metadata"]["uid"] for each in store.owned("other")] == ["new"]
    assert store.refs("apps/v1", "StatefulSet") == (CHAT,)


def test_a_listing_drops_what_is_gone_and_keeps_what_came_later(store: Store, heard: Heard) -> None:
    store.put(thing(name="ghost", uid="u1", version=5))
    store.put(thing(name="young", uid="u2", version=50))
    heard.news.clear()
    store.listing_begins()
    store.replace(STATEFULSETS, "", Listing((thing(name="found", uid="u3", version=7),), "40"))
    assert heard.news == [("gone", "ghost"), ("new", "found")]
    assert {each.name for each in store.refs("apps/v1", "StatefulSet")} == {"young", "found"}


def test_what_is_deleted_during_a_listing_is_not_brought_back_by_it(store: Store) -> None:
    store.put(thing(version=5))
    store.listing_begins()
    store.drop(thing(version=6))
    store.replace(STATEFULSETS, "", Listing((thing(version=5),), "5"))
    assert store.get(CHAT) is None


def test_a_listing_of_one_namespace_leaves_the_others_alone(store: Store) -> None:
    store.put(thing(version=5))
    store.replace(STATEFULSETS, "elsewhere", Listing((), "40"))
    assert store.get(CHAT) is not None


def test_a_listing_with_the_same_objects_is_no_news(store: Store, heard: Heard) -> None:
    store.put(thing(version=5))
    heard.news.clear()
    store.replace(STATEFULSETS, "", Listing((thing(version=5),), "40"))
    assert heard.news == []


def test_a_kind_that_is_no_longer_served_is_forgotten(store: Store, heard: Heard) -> None:
    store.put(thing())
    store.clear(STATEFULSETS)
    assert store.get(CHAT) is None
    assert heard.news[-1] == ("gone", "chat-1")


def test_of_a_pod_nothing_is_kept_that_decisions_do_not_use(store: Store) -> None:
    engine = {"name": "engine", "image": "vllm", "args": ["x"] * 100, "env": [{"name": "TOKEN", "value": "secret"}]}
    spec = {"nodeName": "n1", "affinity": {}, "containers": [engine], "initContainers": [{"name": "inspect", "command": ["allod"]}]}
    store.put(thing("Pod", "chat-1-0", metadata={"managedFields": [{"manager": "kubelet"}]}, spec=spec))
    kept = store.get(Ref("v1", "Pod", "ai", "chat-1-0"))
    assert kept is not None
    left = {"nodeName": "n1", "containers": [{"name": "engine", "image": "vllm"}], "initContainers": [{"name": "inspect"}]}
    assert kept["spec"] == left
    assert "managedFields" not in kept["metadata"]


def test_the_same_text_in_two_config_maps_is_one_in_memory(store: Store) -> None:
    for name in ("a", "b"):
        store.put(thing("ConfigMap", name, uid=name, data=json.loads('{"watchdog.py": "import time"}')))
    first, second = (store.get(Ref("v1", "ConfigMap", "ai", name)) for name in ("a", "b"))
    assert first is not None
    assert second is not None
    assert first["data"]["watchdog.py"] is second["data"]["watchdog.py"]


def test_an_event_is_found_by_what_it_is_about(store: Store) -> None:
    store.put(thing("Event", "e1", uid="e", involvedObject={"kind": "StatefulSet", "uid": "u1"}))
    assert [each["metadata"]["name"] for each in store.owned("u1")] == ["e1"]


def test_refusals_are_read_where_their_selector_is_served() -> None:
    assert (REFUSALS.api_version, REFUSALS.path()) == ("v1", "/api/v1/events")


def test_an_own_write_is_told_apart_from_what_others_did(heard: Heard) -> None:
    wrote: list[str] = []
    store = Store(heard, lambda _old, new: wrote.append(str((new or {})["metadata"]["name"])))
    store.put(thing(version=5))
    store.wrote(thing(version=6))
    store.put(thing(version=6))
    assert heard.news == [("new", "chat-1")]
    assert wrote == ["chat-1"]


def test_a_late_state_of_an_object_that_was_replaced_does_not_replace_the_new_one(store: Store, heard: Heard) -> None:
    store.put(thing(uid="new", version=20))
    heard.news.clear()
    store.put(thing(uid="old", version=12))
    store.wrote(thing(uid="old", version=13))
    found = store.get(CHAT)
    assert found is not None
    assert (found["metadata"]["uid"], heard.news) == ("new", [])


def test_an_object_that_is_told_as_deleted_and_lives_on_is_known_again(store: Store) -> None:
    """It lost the label by which we watch, at version 6, and has it again since version 7."""
    store.put(thing(version=5))
    store.drop(thing(version=6))
    store.put(thing(version=5))
    assert store.get(CHAT) is None
    store.wrote(thing(version=7))
    store.drop(thing(version=6))
    assert version(store) == "7", "and what is told late changes nothing"


def test_what_a_listing_did_not_show_is_not_brought_back_by_what_was_before_it(store: Store) -> None:
    store.put(thing(version=5))
    store.replace(STATEFULSETS, "", Listing((), "40"))
    store.put(thing(version=39))
    assert store.get(CHAT) is None


def model(name: str, served: str, *, version: int = 5, **more: Any) -> Manifest:
    made = thing("ModelDeployment", name, uid=name, version=version, spec={"model": {"servedName": served}}, **more)
    return made | {"apiVersion": API_VERSION}


def named(store: Store, *names: str) -> set[str]:
    return {each["metadata"]["name"] for each in store.naming("ai", names)}


def test_a_model_is_found_by_the_names_that_it_asks_for_until_it_asks_for_others(store: Store) -> None:
    store.put(model("chat", "qwen"))
    store.put(model("other", "llama"))
    assert named(store, "qwen") == {"chat"}
    assert named(store, "qwen", "llama", "chat") == {"chat", "other"}
    store.put(model("chat", "llama", version=6))
    assert (named(store, "qwen"), named(store, "llama")) == (set(), {"chat", "other"})
    store.drop(model("chat", "llama", version=7))
    assert named(store, "llama") == {"other"}
    assert store.naming("legal", ("llama",)) == ()


def test_a_model_is_found_by_the_names_of_its_revisions_and_by_who_answers_for_it(store: Store) -> None:
    kept = thing("ControllerRevision", "chat-1", metadata={"labels": {MODEL: "chat"}}, data={"spec": {"model": {"servedName": "old"}}})
    store.put(kept | {"apiVersion": "apps/v1"})
    assert named(store, "old") == set(), "its model is not known yet"
    store.put(model("chat", "new", status={"traffic": {"target": "Standby", "name": "small"}}))
    assert named(store, "old") == named(store, "small") == {"chat"}


def test_the_pods_of_a_model_are_found_by_its_name(store: Store) -> None:
    labels = {"labels": {MODEL: "chat"}}
    store.put(thing("Pod", "chat-0", version=5, metadata=labels, spec={"containers": []}))
    store.put(thing("Pod", "other-0", version=5, metadata={"labels": {MODEL: "other"}}, spec={"containers": []}))
    assert [each["metadata"]["name"] for each in store.pods("ai", "chat")] == ["chat-0"]
    store.drop(thing("Pod", "chat-0", version=7))
    assert store.pods("ai", "chat") == ()
