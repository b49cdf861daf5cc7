"""A model that was deleted and applied again waits for the pods that it had."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from allod.domain.conditions import timestamp
from allod.domain.serving.decide import decide
from unit.domain.simulation import START
from unit.render.test_manifests import model, new, planned

if TYPE_CHECKING:
    from allod.domain.manifest import Manifest
    from allod.domain.serving.seen import Seen


def sets(seen: Seen) -> list[Manifest]:
    return [each for each in planned(seen) if each["kind"] == "StatefulSet"]


def ready(seen: Seen) -> str:
    status: dict[str, Any] = decide(seen, START).status or {}
    return str(next(each["message"] for each in status["conditions"] if each["type"] == "Ready"))


def ending(of: Manifest, ordinal: int) -> Manifest:
    name, labels = of["metadata"]["name"], of["spec"]["template"]["metadata"]["labels"]
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name, "uid": "former", "controller": True}
    meta = {"name": f"{name}-{ordinal}", "namespace": "ai", "uid": f"former-{ordinal}", "labels": labels, "ownerReferences": [owner]}
    return {"kind": "Pod", "metadata": meta | {"deletionTimestamp": timestamp(START + timedelta(seconds=30))}, "spec": {}, "status": {}}


def test_its_statefulset_is_made_when_pods_of_these_names_are_gone() -> None:
    seen = new(model("vllm-cpu"))
    (wanted,) = sets(seen)
    name = wanted["metadata"]["name"]
    waits = replace(seen, former=(ending(wanted, 0), ending(wanted, 1)))
    assert sets(waits) == []
    revision = name.rpartition("-")[2]
    assert ready(waits) == f"revision {revision} starts when {name}-0 has ended, which answers its last requests"
    assert ready(seen) == f"revision {revision} is starting"


def test_a_statefulset_that_is_there_stays_whoever_ends() -> None:
    seen = new(model("vllm-cpu"))
    (wanted,) = sets(seen)
    there = wanted | {"metadata": wanted["metadata"] | {"uid": "new"}}
    assert sets(replace(seen, children=(there,), former=(ending(wanted, 0),))) == [wanted]


def test_pods_of_another_revision_are_waited_for_by_nobody() -> None:
    seen = new(model("vllm-cpu"))
    (wanted,) = sets(seen)
    other = ending(wanted, 0)
    other["metadata"] |= {"name": "chat-00000000-0", "labels": other["metadata"]["labels"] | {"allod.dev/revision": "00000000"}}
    assert sets(replace(seen, former=(other,))) == [wanted]


def test_each_group_waits_for_its_own_pods() -> None:
    seen = new(model("vllm-nodes"))
    first, second = sets(seen)
    assert sets(replace(seen, former=(ending(first, 1),))) == [second]
