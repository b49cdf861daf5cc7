from __future__ import annotations

import copy
from typing import Any

import pytest

from allod.api.modeldeployment import ModelDeploymentSpec
from allod.domain.serving.revision import changes, hash_of, remembered, snapshot
from unit.domain.simulation import SPEC, World

SLO = {"name": "errors", "metric": "ErrorRatio", "threshold": "0.01", "window": "2m"}


def hashed(spec: dict[str, Any]) -> str:
    return hash_of(snapshot(ModelDeploymentSpec.model_validate(spec)))


def test_the_hash_of_a_spec_never_changes() -> None:
    """A newer operator that hashes otherwise would restart every model of every cluster."""
    assert hashed(SPEC) == "08277d62"


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 7},
        {"suspend": True},
        {"monitoring": {"podMonitor": False}},
        {"networkPolicy": {"allowFrom": []}},
        {"health": {"slos": [SLO]}},
        {"health": {"page": {"after": "1h"}}},
        {"a field of a later version": 1},
    ],
    ids=str,
)
def test_what_no_pod_is_made_of_makes_no_revision(change: dict[str, Any]) -> None:
    assert hashed(SPEC | change) == hashed(SPEC)


@pytest.mark.parametrize(
    "change",
    [
        {"model": SPEC["model"] | {"aliases": ["other"]}},
        {"engine": SPEC["engine"] | {"args": {"seed": "1"}}},
        {"parallelism": {"tensor": 1}},
        {"resources": SPEC["resources"] | {"memory": "64Gi"}},
        {"health": {"hangTimeout": "10s"}},
        {"scheduling": {"priorityClassName": "critical"}},
        {"podTemplate": {"metadata": {"annotations": {"a": "b"}}}},
    ],
    ids=str,
)
def test_what_pods_are_made_of_makes_a_revision(change: dict[str, Any]) -> None:
    assert hashed(SPEC | change) != hashed(SPEC)


def test_objectives_beside_a_time_out_make_no_revision_of_their_own() -> None:
    health = {"hangTimeout": "10s"}
    assert hashed(SPEC | {"health": health | {"slos": [SLO]}}) == hashed(SPEC | {"health": health}) != hashed(SPEC)


def test_the_order_of_fields_makes_no_revision() -> None:
    assert hashed(dict(reversed(SPEC.items()))) == hashed(SPEC)


def test_a_revision_is_read_back_as_it_was_written() -> None:
    world = World()
    world.settle()
    (found,) = remembered(world.children.values())
    assert found.hash == world.status["activeRevision"]
    assert found.number == 1
    assert found.snapshot == snapshot(world.model.spec)
    assert found.statefulset is not None
    assert "replicas" not in found.statefulset["spec"]


@pytest.mark.parametrize(
    ("path", "before", "after", "says"),
    [
        (("engine", "maxModelLen"), 16384, 32768, "engine.maxModelLen 16384 -> 32768"),
        (("model", "revision"), None, "1df8507", "model.revision none -> 1df8507"),
        (("model", "uri"), "pvc://a/" + "x" * 60, "pvc://b", "model.uri pvc://a/" + "x" * 37 + "... -> pvc://b"),
        (("engine", "env"), [{"name": "TOKEN", "value": "secret"}], [], "engine.env changed"),
        (("podTemplate", "spec"), {"hostNetwork": True}, {}, "podTemplate changed"),
        (("engine", "extraArgs"), [], ["--seed", "1"], 'engine.extraArgs [] -> ["--seed", "1"]'),
    ],
)
def test_a_change_is_told_by_its_field_and_both_values(path: tuple[str, str], before: Any, after: Any, says: str) -> None:
    old, new = copy.deepcopy(SPEC), copy.deepcopy(SPEC)
    for spec, value in ((old, before), (new, after)):
        spec.setdefault(path[0], {})
        spec[path[0]].pop(path[1], None)
        if value is not None:
            spec[path[0]][path[1]] = value
    assert changes(old, new) == says


def test_many_changes_are_told_in_part() -> None:
    new = {"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1}
    assert changes({}, new) == "a none -> 1, b none -> 1, c none -> 1, d none -> 1, and 2 more"
