"""Each rule of the API on a real kube-apiserver, and what becomes of manifests that were written for a newer version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from admission.case import VLLM, named, vllm
from admission.plane import MODELS, install
from admission.shape_cases import SHAPE_CASES
from admission.table import CASES
from allod.api.admission import violations
from box.api import Refused
from box.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.case import Case, Manifest
    from admission.shape_cases import ShapeCase
    from box.controlplane import ControlPlane

TRY = "dryRun=All&fieldValidation=Strict"
EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "examples").rglob("*.yaml"))


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> ControlPlane:
    install(control_plane)
    return control_plane


@pytest.fixture
def chat(plane: ControlPlane) -> Iterator[Manifest]:
    """A model that is really there."""
    yield plane.api.send("POST", MODELS, vllm())
    plane.api.send("DELETE", f"{MODELS}/chat")


def refusal(plane: ControlPlane, manifest: Manifest, method: str = "POST", path: str = f"{MODELS}?{TRY}") -> str:
    """The API server's words."""
    with pytest.raises(Refused) as refused:
        plane.api.send(method, path, manifest)
    return str(refused.value).splitlines()[0]


def changed(old: Manifest, new: Manifest) -> Manifest:
    return {**old, "spec": new["spec"]}


NEW = [case for case in CASES if case.old is None]
CHANGES = [case for case in CASES if case.old is not None]


@pytest.mark.parametrize("case", NEW, ids=str)
def test_a_manifest_on_the_right_side_of_a_rule_is_taken(plane: ControlPlane, case: Case) -> None:
    assert plane.api.send("POST", f"{MODELS}?{TRY}", case.passes)["spec"]["model"] == case.passes["spec"]["model"]


@pytest.mark.parametrize("case", NEW, ids=str)
def test_a_manifest_on_the_wrong_side_is_refused_by_this_rule_alone_in_its_words(plane: ControlPlane, case: Case) -> None:
    words = refusal(plane, case.fails)
    assert f"is invalid: {case.path}: Invalid value: " in words
    assert words.endswith(f": {case.says}")


@pytest.mark.parametrize("case", CHANGES, ids=str)
def test_a_change_is_refused_or_taken_by_its_rule(plane: ControlPlane, chat: Manifest, case: Case) -> None:
    assert case.old == VLLM, "the object that is there is the one before the change"
    one = f"{MODELS}/chat?{TRY}"
    assert plane.api.send("PUT", one, changed(chat, case.passes))["kind"] == "ModelDeployment"
    assert refusal(plane, changed(chat, case.fails), "PUT", one).endswith(f"is invalid: {case.path}: Invalid value: {case.says}")


@pytest.mark.parametrize("case", [case for case in SHAPE_CASES if case.rule != "unknown-field"], ids=str)
def test_a_value_of_the_wrong_shape_is_refused_where_it_stands(plane: ControlPlane, case: ShapeCase) -> None:
    assert case.path in refusal(plane, case.manifest)


def test_all_that_is_wrong_is_said_at_once(plane: ControlPlane) -> None:
    words = refusal(plane, vllm(parallelism={"tensor": 4}, resources__gpu={"count": 1}, engine__threads=2, model__uri="s3://models/x"))
    for part in ("needs 4 GPUs per replica", "engine.threads is a setting of LlamaCpp", "s3:// is not supported yet"):
        assert part in words


def test_kubectl_shows_the_sentence_after_the_field(plane: ControlPlane) -> None:
    manifest = named("article", parallelism={"tensor": 4}, resources__gpu={"count": 1})
    with pytest.raises(Exception, match="The ModelDeployment") as refused:
        plane.kubectl("apply", "--filename=-", stdin=yaml.safe_dump(manifest))
    says = "parallelism.tensor 4 x parallelism.pipeline 1 needs 4 GPUs per replica, resources.gpu.count 1 x nodes 1 gives 1"
    assert f'The ModelDeployment "article" is invalid: spec.parallelism: Invalid value: {says}' in str(refused.value)


def test_the_server_says_of_every_example_what_lint_says(plane: ControlPlane) -> None:
    examples = [manifest for path in EXAMPLES for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8"))]
    ours = [manifest for manifest in examples if manifest["apiVersion"].startswith("allod.dev/")]
    verdicts = {bool(violations(manifest)) for manifest in ours}
    assert verdicts == {True, False}, "docs/examples shows what is taken and what is refused"
    for manifest in ours:
        there = manifest | {"metadata": manifest["metadata"] | {"namespace": "default"}}
        apply = ("apply", "--dry-run=server", "--filename=-")
        if violations(manifest):
            with pytest.raises(Failed, match="is invalid"):
                plane.kubectl(*apply, stdin=yaml.safe_dump(there))
        else:
            plane.kubectl(*apply, stdin=yaml.safe_dump(there))


# A manifest that was written for a newer version


NEWER = vllm(resources__foo=1)


def test_kubectl_refuses_a_field_that_this_version_does_not_have(plane: ControlPlane) -> None:
    with pytest.raises(Exception, match=r'strict decoding error: unknown field "spec\.resources\.foo"'):
        plane.kubectl("apply", "--filename=-", stdin=yaml.safe_dump(NEWER))


def test_server_side_apply_refuses_it_even_when_told_not_to_validate(plane: ControlPlane) -> None:
    with pytest.raises(Exception, match=r"\.spec\.resources\.foo: field not declared in schema"):
        plane.kubectl("apply", "--server-side", "--validate=false", "--filename=-", stdin=yaml.safe_dump(NEWER))


def test_without_validation_the_field_is_dropped_and_the_rest_is_taken(plane: ControlPlane) -> None:
    stored = plane.api.send("POST", f"{MODELS}?dryRun=All&fieldValidation=Warn", NEWER)
    assert stored["spec"]["resources"] == {"memory": "64Gi"}
