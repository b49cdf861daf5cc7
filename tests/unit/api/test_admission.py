from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from admission.case import vllm
from admission.shape_cases import SHAPE_CASES
from admission.table import CASES
from allod.api.admission import violations
from allod.api.conformity import Violation
from allod.api.crds import KINDS
from allod.api.markers import VALIDATIONS, Schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.case import Case
    from admission.shape_cases import ShapeCase


def rule_names(schema: Schema) -> Iterator[str]:
    yield from (rule["name"] for rule in schema.get(VALIDATIONS, ()))
    inside = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    for part in inside:
        if part:
            yield from rule_names(part)


def test_every_rule_has_a_passing_and_a_failing_case_and_no_case_is_of_a_rule_that_is_gone() -> None:
    named = {name for kind in KINDS for name in rule_names(kind.schema())}
    assert sorted(case.rule for case in CASES) == sorted(named)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_manifest_on_the_right_side_of_a_rule_is_taken(case: Case) -> None:
    assert violations(case.passes, case.old) == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_manifest_on_the_wrong_side_is_refused_by_this_rule_alone_in_its_words(case: Case) -> None:
    assert violations(case.fails, case.old) == [Violation(case.rule, case.path, case.says)]


@pytest.mark.parametrize("case", SHAPE_CASES, ids=str)
def test_a_value_of_the_wrong_shape_is_refused_where_it_stands(case: ShapeCase) -> None:
    assert violations(case.manifest) == [Violation(case.rule, case.path, case.says)]


def test_rules_about_changes_are_silent_on_a_new_object() -> None:
    task = next(case for case in CASES if case.rule == "task-immutable")
    assert violations(task.fails) == []


def test_a_rule_about_a_part_that_is_not_of_its_type_is_left_to_the_type() -> None:
    spec: dict[str, Any] = {
        "model": {"uri": "pvc://m/x"},
        "engine": {"type": "vLLM"},
        "resources": {"memory": "1Gi", "gpu": {"count": "1"}},
    }
    found = violations({"apiVersion": "allod.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "chat"}, "spec": spec})
    assert [violation.rule for violation in found] == ["type"]


def test_null_counts_as_absent_as_in_kubectl() -> None:
    case = next(case for case in CASES if case.rule == "gpu-count")
    spec = {**case.passes["spec"], "health": None, "engine": {"type": "vLLM", "args": None}}
    assert violations({**case.passes, "spec": spec}) == []


OURS = {"apiVersion": "allod.dev/v1alpha1", "kind": "ModelDeployment"}


@pytest.mark.parametrize(
    ("written", "path", "says"),
    [
        ({"kind": "ModelDeploymnet"}, "kind", "allod.dev has no kind ModelDeploymnet: write kind: ModelDeployment"),
        ({"kind": "Pod"}, "kind", "allod.dev has no kind Pod: write kind: ModelDeployment"),
        ({"kind": None}, "kind", "kind is missing: write kind: ModelDeployment"),
        ({"apiVersion": "allod.dev/v1"}, "apiVersion", "allod.dev has no version v1: write apiVersion: allod.dev/v1alpha1"),
        ({"apiVersion": "allod.dev"}, "apiVersion", "allod.dev has no version allod.dev: write apiVersion: allod.dev/v1alpha1"),
        ({"apiVersion": None}, "apiVersion", "apiVersion is missing: write apiVersion: allod.dev/v1alpha1"),
    ],
)
def test_another_kind_or_version_is_refused_with_what_to_write(written: dict[str, Any], path: str, says: str) -> None:
    assert violations(OURS | written) == [Violation("kind", path, says)]


@pytest.mark.parametrize(
    ("field", "written", "says"),
    [
        ("labels", {"version": 1.5}, "metadata.labels.version is the number 1.5 and has to be a string"),
        ("annotations", {"a/b": True}, "metadata.annotations.a/b is true or false and has to be a string"),
        ("namespace", 5, "metadata.namespace is the number 5 and has to be a string"),
        ("name", 5, "metadata.name is the number 5 and has to be a string"),
        ("lables", {}, "there is no field metadata.lables: did you mean labels?"),
    ],
)
def test_metadata_is_looked_at_too(field: str, written: Any, says: str) -> None:
    manifest = vllm()
    manifest["metadata"] |= {field: written}
    assert [found.message for found in violations(manifest)] == [says]


def test_metadata_as_a_server_gives_it_is_taken() -> None:
    manifest = vllm()
    owners = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "b"}]
    manifest["metadata"] |= {"uid": "x", "generation": 3, "creationTimestamp": None, "ownerReferences": owners, "finalizers": ["a/b"]}
    assert violations(manifest) == []


def test_a_rule_about_a_value_says_where_the_value_is() -> None:
    (found,) = violations(vllm(health__startupTimeout="30"))
    wanted = "a duration is a number with its unit ms, s, m or h: 30s, 15m, 1h30m"
    assert found.whole == f"spec.health.startupTimeout: it is 30, and {wanted}"
    (found,) = violations(vllm(resources__cpu="x"))
    assert found.whole.startswith("spec.resources.cpu: it is x, and an amount of CPU is ")
    (found,) = violations(vllm(parallelism={"tensor": 4}, resources__gpu={"count": 1}))
    assert found.whole == found.message


def test_one_gpu_is_no_plural() -> None:
    (found,) = violations(vllm(resources__gpu={"count": 2}))
    assert found.message.endswith("needs 1 GPU per replica, resources.gpu.count 2 gives 2")


def test_a_duration_of_millions_of_hours_is_refused_although_cel_cannot_reckon_with_it() -> None:
    (found,) = violations(vllm(health__hangTimeout="999999h999999h999999h"))
    assert (found.rule, found.message) == ("hang-timeout", "health.hangTimeout 999999h999999h999999h is not between 3s and 1h")


def test_an_object_without_a_name_is_refused() -> None:
    assert violations({**vllm(), "metadata": {"namespace": "default"}})[0].path == "metadata.name"
