from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from allod.domain.names import API_VERSION
from allod.runtime.routing import concerned, model_ref, told
from allod.runtime.store import Store

if TYPE_CHECKING:
    from allod.domain.manifest import Manifest


NOW = "2026-11-20T00:00:00Z"


def thing(kind: str, name: str, labels: dict[str, str] | None = None, **more: Any) -> Manifest:
    meta = {
        "name": name,
        "namespace": "ai",
        "uid": f"{kind}-{name}",
        "resourceVersion": "1",
        "labels": labels or {},
        "creationTimestamp": NOW,
    }
    version = {"ModelDeployment": API_VERSION, "StatefulSet": "apps/v1"}.get(kind, "v1")
    return {"apiVersion": version, "kind": kind, "metadata": meta, **more}


def model(name: str, served: str | None = None, *aliases: str, standby: str | None = None) -> Manifest:
    spec: dict[str, Any] = {"model": {"servedName": served, "aliases": list(aliases)}}
    return thing("ModelDeployment", name, spec=spec | ({"standby": {"modelDeploymentRef": {"name": standby}}} if standby else {}))


LEGAL = model("legal", standby="small")
OF_CHAT = {"allod.dev/model": "chat"}


@pytest.fixture
def store() -> Store:
    made = Store()
    for each in (model("chat"), model("rival", None, "chat"), model("other"), LEGAL, thing("StatefulSet", "chat-1", OF_CHAT)):
        made.put(each)
    return made


CASES: dict[str, tuple[Manifest | None, Manifest | None, set[str]]] = {
    "a child": (None, thing("Service", "chat", OF_CHAT), {"chat"}),
    "a child that is gone": (thing("Service", "chat", OF_CHAT), None, {"chat"}),
    "a child that lost its label": (thing("Service", "chat", OF_CHAT), thing("Service", "chat"), {"chat"}),
    "a pod": (None, thing("Pod", "chat-1-0", OF_CHAT), {"chat"}),
    "a stranger": (None, thing("Service", "theirs"), set()),
    "a model and who claims its name": (None, model("chat"), {"chat", "rival"}),
    "a model alone": (None, model("other"), {"other"}),
    "a model that lets a name go": (model("third", "chat"), model("third", "own"), {"third", "chat", "rival"}),
    "a model that cannot be understood": (None, thing("ModelDeployment", "broken", spec={}), {"broken"}),
    "a standby": (None, model("small"), {"small", "legal"}),
    "a model with a standby": (None, LEGAL, {"legal", "small"}),
    "a pod of a standby": (None, thing("Pod", "small-1-0", {"allod.dev/model": "small"}), {"small", "legal"}),
    "the Service of a standby": (None, thing("Service", "small", {"allod.dev/model": "small"}), {"small", "legal"}),
    "a StatefulSet of a standby": (None, thing("StatefulSet", "small-1", {"allod.dev/model": "small"}), {"small"}),
    "an event about a StatefulSet": (None, thing("Event", "e", involvedObject={"namespace": "ai", "name": "chat-1"}), {"chat"}),
    "an event about another StatefulSet": (None, thing("Event", "e", involvedObject={"namespace": "ai", "name": "db"}), set()),
}


@pytest.mark.parametrize("what", CASES)
def test_who_is_looked_at_when_something_changes(store: Store, what: str) -> None:
    old, new, names = CASES[what]
    assert {each.name for each in concerned(store, old, new)} == names


def test_an_own_write_wakes_those_who_wait_for_a_name_that_it_lets_go() -> None:
    store = Store()
    waits = model("waits", None, "chat")
    held = {"activeRevision": "5b21aa0c", "revisions": [{"name": "5b21aa0c", "state": "Good"}]}
    old = model("chat", "renamed") | {"status": held}
    new = model("chat", "renamed") | {"status": {"activeRevision": "7c9f4d21", "revisions": [{"name": "7c9f4d21", "state": "Ready"}]}}
    for name, served in (("5b21aa0c", "chat"), ("7c9f4d21", "renamed")):
        remembered = thing("ControllerRevision", f"chat-{name}", OF_CHAT)
        store.put(remembered | {"apiVersion": "apps/v1", "data": {"spec": {"model": {"servedName": served}}}})
    store.put(waits)
    assert told(store, old, new) == {model_ref("ai", "waits")}
    assert told(store, new, new) == set()
