"""The CRDs on a real kube-apiserver: what kubectl explains and shows of them, their subresources, and how they merge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from admission.case import VLLM, vllm
from admission.plane import MODELS, install
from allod.api.crds import KINDS
from box import waiting
from box.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.case import Manifest
    from allod.api.markers import Schema
    from box.controlplane import ControlPlane


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> ControlPlane:
    install(control_plane)
    waiting.until("what is served is explained", lambda: explained(control_plane), seconds=60)
    return control_plane


def explained(plane: ControlPlane) -> bool:
    """Whether kubectl knows our kinds and their fields: it learns of them a second or two after they are served."""
    try:
        return all("FIELDS" in plane.kubectl("explain", kind.plural) for kind in KINDS)
    except Failed:
        return False


@pytest.fixture
def chat(plane: ControlPlane) -> Iterator[Manifest]:
    """A model that is really there."""
    yield plane.api.send("POST", MODELS, vllm())
    plane.api.send("DELETE", f"{MODELS}/chat")


def described(schema: Schema, path: str = "") -> Iterator[tuple[str, str]]:
    """Every field with its text; the parts of metadata are Kubernetes' own."""
    for name, part in schema.get("properties", {}).items():
        at = f"{path}.{name}".lstrip(".")
        yield at, part.get("description", "")
        if at != "metadata":
            yield from described(part, at)
            yield from described(part.get("items", {}), at)


def test_every_field_is_explained(plane: ControlPlane) -> None:
    """`kubectl explain` prints what this document says."""
    served: dict[str, Any] = plane.api.get("/openapi/v3/apis/allod.dev/v1alpha1")["components"]["schemas"]
    for kind in KINDS:
        texts = dict(described(served[f"dev.allod.v1alpha1.{kind.name}"]))
        assert [path for path, text in texts.items() if not text and path != "metadata"] == []
        assert texts.keys() >= {path for path, _ in described(kind.schema())} - {"metadata.name"}


def test_kubectl_explain_lists_the_fields_and_their_texts(plane: ControlPlane) -> None:
    listed = plane.kubectl("explain", "mdl", "--recursive")
    assert all(
        f" {field}\t<" in listed for field in ("hangTimeout", "kvCacheDtype", "allowFrom", "requiredDuringSchedulingIgnoredDuringExecution")
    )
    assert "How long an engine may make no step" in plane.kubectl("explain", "mdl.spec.health.hangTimeout")


def test_get_shows_what_serves(plane: ControlPlane, chat: Manifest) -> None:
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Serving",
        "message": "1 of 1 pods serve.",
        "lastTransitionTime": "2026-11-20T02:14:00Z",
    }
    status = {
        "traffic": {"target": "Revision", "name": "5b21aa0c"},
        "desiredRevision": "7c9f4d21",
        "ready": "1/1",
        "servedName": "qwen3-32b",
        "gpus": 2,
        "conditions": [ready],
    }
    plane.api.send("PUT", f"{MODELS}/chat/status", {**chat, "status": status})
    head, row = plane.kubectl("get", "mdl", "chat", "--output", "wide").splitlines()
    assert head.split() == ["NAME", "READY", "SERVING", "DESIRED", "REPLICAS", "MODEL", "AGE", "ENGINE", "GPUS", "REASON"]
    assert [word for index, word in enumerate(row.split()) if index != 6] == [  # 6 is the age
        "chat", "True", "5b21aa0c", "7c9f4d21", "1/1", "qwen3-32b", "vLLM", "2", "Serving",
    ]  # fmt: skip
    assert "modeldeployment.allod.dev/chat" in plane.kubectl("get", "allod", "--output", "name")


def test_status_is_the_operators_and_spec_is_the_users(plane: ControlPlane, chat: Manifest) -> None:
    both = {**chat, "spec": {**chat["spec"], "replicas": 5}, "status": {"url": "http://chat.default.svc:8000/v1"}}
    written = plane.api.send("PUT", f"{MODELS}/chat/status", both)
    assert (written["spec"]["replicas"], written["status"]["url"]) == (1, "http://chat.default.svc:8000/v1")
    written = plane.api.send("PUT", f"{MODELS}/chat", {**written, "spec": both["spec"], "status": {"url": "http://elsewhere"}})
    assert (written["spec"]["replicas"], written["status"]["url"]) == (5, "http://chat.default.svc:8000/v1")


def test_scale_reads_and_writes_the_replicas(plane: ControlPlane, chat: Manifest) -> None:
    status = {"replicas": 1, "selector": "allod.dev/model=chat,allod.dev/revision=5b21aa0c"}
    plane.api.send("PUT", f"{MODELS}/chat/status", {**chat, "status": status})
    plane.kubectl("scale", "mdl/chat", "--replicas=3")
    scale = plane.api.get(f"{MODELS}/chat/scale")
    assert (scale["spec"], scale["status"]) == ({"replicas": 3}, status)


def test_nothing_but_replicas_is_filled_in(chat: Manifest) -> None:
    assert chat["spec"] == {**VLLM["spec"], "replicas": 1}


def test_two_appliers_own_one_flag_each(plane: ControlPlane, chat: Manifest) -> None:
    for manager, flag in (("team", "seed"), ("platform", "enable-prefix-caching")):
        part = {
            **{key: chat[key] for key in ("apiVersion", "kind")},
            "metadata": {"name": "chat"},
            "spec": {"engine": {"args": {flag: "1"}}},
        }
        plane.api.send("PATCH", f"{MODELS}/chat?fieldManager={manager}", part, "application/apply-patch+yaml")
    assert plane.api.get(f"{MODELS}/chat")["spec"]["engine"]["args"] == {"enable-prefix-caching": "1", "seed": "1"}


def test_what_is_applied_again_changes_nothing(plane: ControlPlane) -> None:
    """Empty lists, defaults or an unstable order in crds/ would be a lasting difference to GitOps tools."""
    for path in sorted((Path(__file__).parents[2] / "crds").glob("*.yaml")):
        ours = yaml.safe_load(path.read_text(encoding="utf-8"))
        live = json.loads(plane.kubectl("get", "crd", ours["metadata"]["name"], "--output", "json"))
        assert differences("", ours["spec"], live["spec"]) == []


def differences(path: str, ours: Any, live: Any) -> list[str]:
    """Where the API server keeps something else than what was written; what it adds beside it does not count."""
    if isinstance(ours, dict):
        return [found for key, value in ours.items() for found in differences(f"{path}.{key}", value, live.get(key))]
    if isinstance(ours, list) and isinstance(live, list) and len(ours) == len(live):
        return [found for index, value in enumerate(ours) for found in differences(f"{path}[{index}]", value, live[index])]
    return [] if ours == live else [path]
