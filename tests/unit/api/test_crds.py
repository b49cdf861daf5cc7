from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import kubernetes_validate  # type: ignore[import-untyped]  # it ships no types
import pytest

from allod.api.crds import KINDS, manifests
from allod.api.markers import VALIDATIONS, Schema

if TYPE_CHECKING:
    from collections.abc import Iterator

KUBERNETES = "1.36"


def nodes(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every schema below this one with its path; metadata is Kubernetes' own."""
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        if name not in {"apiVersion", "kind", "metadata"}:
            yield from nodes(part, f"{path}.{name}")
    for inside, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if inside in schema:
            yield from nodes(schema[inside], path + mark)


ALL = [node for kind in KINDS for node in nodes(kind.schema(), kind.name)]


def bounded(schema: Schema) -> bool:
    match schema.get("type", "string"):
        case "string":
            return "maxLength" in schema or "enum" in schema
        case "integer":
            return {"minimum", "maximum"} <= schema.keys()
        case "array":
            return "maxItems" in schema
        case "object" if "additionalProperties" in schema:
            return "maxProperties" in schema
        case _:
            return True


def test_every_value_is_bounded_so_that_the_cost_of_every_rule_is() -> None:
    assert [path for path, schema in ALL if not bounded(schema)] == []


def test_every_node_says_its_type() -> None:
    assert [path for path, schema in ALL if "type" not in schema and not schema.get("x-kubernetes-int-or-string")] == []


def test_every_field_is_explained_in_sentences() -> None:
    fields = [(path, schema.get("description", "")) for path, schema in ALL if not path.endswith(("[]", "{}"))]
    assert [path for path, text in fields if not re.fullmatch(r"[A-Za-z].*\.", text)] == []


def test_replicas_alone_has_a_default() -> None:
    """Every other one would be a lasting difference to what stands in Git; without this one GET /scale answers 500."""
    assert [path for path, schema in ALL if "default" in schema] == ["ModelDeployment.spec.replicas"]


def test_the_keys_of_list_maps_are_required() -> None:
    lists = [(path, schema) for path, schema in ALL if schema.get("x-kubernetes-list-type") == "map"]
    keys = {path: set(schema["x-kubernetes-list-map-keys"]) - set(schema["items"]["required"]) for path, schema in lists}
    assert {path for path, optional in keys.items() if optional} == set()


def test_one_name_is_one_rule() -> None:
    named = {(rule["name"], rule["rule"]) for _, schema in ALL for rule in schema.get(VALIDATIONS, ())}
    assert len(named) == len({name for name, _ in named})


def test_a_message_is_one_sentence_without_a_full_stop_as_the_api_server_puts_it_into_a_list() -> None:
    messages = [rule["message"] for _, schema in ALL for rule in schema.get(VALIDATIONS, ())]
    assert [message for message in messages if message.endswith(".") or len(message.split()) < 5] == []


def test_no_rule_uses_what_lint_cannot_evaluate() -> None:
    rules = [
        text for _, schema in ALL for rule in schema.get(VALIDATIONS, ()) for text in (rule["rule"], rule.get("messageExpression", ""))
    ]
    assert [rule for rule in rules if re.search(r"\?\.|\.orValue\(|optional\.|\.join\(", rule)] == []


def empties(value: Any, path: str) -> Iterator[str]:
    if value in ({}, [], ""):
        yield path
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from empties(part, f"{path}.{key}")
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from empties(part, f"{path}[{index}]")


@pytest.mark.parametrize("manifest", manifests(), ids=lambda manifest: manifest["spec"]["names"]["kind"])
def test_nothing_is_empty_but_the_status_subresource_which_has_to_be(manifest: dict[str, Any]) -> None:
    """The API server drops empty lists and maps, and Argo CD would never see its CRD in sync."""
    assert list(empties(manifest, "")) == [".spec.versions[0].subresources.status"]


@pytest.mark.parametrize("manifest", manifests(), ids=lambda manifest: manifest["spec"]["names"]["kind"])
def test_the_manifest_fits_the_strict_schema_of_kubernetes(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@pytest.mark.parametrize("manifest", manifests(), ids=lambda manifest: manifest["spec"]["names"]["kind"])
def test_a_crd_is_small_enough_for_client_side_apply(manifest: dict[str, Any]) -> None:
    """`kubectl apply` without --server-side keeps the whole object in an annotation, and annotations end at 262,144 bytes."""
    assert len(str(manifest)) < 200_000
