from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field

from allod.api.base import ApiModel
from allod.api.markers import AtomicMap, Cel, ListMap, ListSet, OpenObject, SchemaDefault, Shape
from allod.api.schema import NotStructuralError, structural
from allod.api.values import Cpu, Memory


class Part(ApiModel):
    """A part."""

    name: Annotated[str, Field(max_length=9)]
    """Its name."""

    rules = (Cel("part", "self.name != 'x'", "a part is not called x"),)


class Whole(ApiModel):
    """A whole."""

    parts: Annotated[tuple[Part, ...], Field(max_length=2), ListMap()] = ()
    """Its
    parts."""
    words: Annotated[tuple[str, ...], Field(max_length=2), ListSet()] = ()
    maybe: Annotated[Part, Cel("maybe", "true", "never", "'never'", ".name")] | None = None
    labels: Annotated[dict[str, str], Field(max_length=2), AtomicMap()] = Field(default_factory=dict)
    open: Annotated[Part, OpenObject()] | None = None
    raw: Annotated[dict[str, int], Shape(Part)] = Field(default_factory=dict)
    one: Literal["One"] = "One"
    count: Annotated[int, Field(ge=0, le=7), SchemaDefault()] = 1
    large: Annotated[int, Field(ge=0, le=2**40)] = 1
    memory: Memory
    cpu: Cpu = Cpu("1")


FIELDS = structural(Whole)["properties"]
PART = {"type": "object", "required": ["name"], "properties": {"name": {"description": "Its name.", "type": "string", "maxLength": 9}}}
RULE = {"name": "part", "rule": "self.name != 'x'", "message": "a part is not called x"}
MAYBE = {"name": "maybe", "rule": "true", "message": "never", "messageExpression": "'never'", "fieldPath": ".name"}


@pytest.mark.parametrize(
    ("field", "schema"),
    [
        (
            "parts",
            {
                "description": "Its parts.",
                "type": "array",
                "maxItems": 2,
                "items": {"description": "A part.", **PART, "x-kubernetes-validations": [RULE]},
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            },
        ),
        ("words", {"type": "array", "maxItems": 2, "items": {"type": "string"}, "x-kubernetes-list-type": "set"}),
        ("maybe", {"description": "A part.", **PART, "x-kubernetes-validations": [RULE, MAYBE]}),
        ("labels", {"type": "object", "maxProperties": 2, "additionalProperties": {"type": "string"}, "x-kubernetes-map-type": "atomic"}),
        ("open", {"description": "A part.", **PART, "x-kubernetes-preserve-unknown-fields": True, "x-kubernetes-validations": [RULE]}),
        ("raw", {"description": "A part.", **PART, "x-kubernetes-preserve-unknown-fields": True, "x-kubernetes-validations": [RULE]}),
        ("one", {"type": "string", "enum": ["One"]}),
        ("count", {"type": "integer", "format": "int32", "default": 1, "minimum": 0, "maximum": 7}),
        ("large", {"type": "integer", "format": "int64", "minimum": 0, "maximum": 2**40}),
    ],
)
def test_a_type_becomes_a_structural_schema(field: str, schema: dict[str, object]) -> None:
    assert FIELDS[field] == schema


def test_a_value_with_a_unit_is_checked_by_a_rule_that_says_its_shape() -> None:
    assert FIELDS["memory"]["type"] == "string"
    assert FIELDS["memory"]["x-kubernetes-validations"][0]["message"] == Memory.sentence
    assert FIELDS["cpu"]["x-kubernetes-int-or-string"]
    assert "type" not in FIELDS["cpu"]


def test_what_has_no_default_is_required() -> None:
    assert structural(Whole)["required"] == ["memory"]


class Union(ApiModel):
    """Two types in one field."""

    either: Part | Whole


class Pair(ApiModel):
    """A list whose items differ."""

    pair: tuple[int, str]


class Endless(ApiModel):
    """A type within itself."""

    inner: Endless | None = None


class Multiple(ApiModel):
    """A keyword that Kubernetes does not have."""

    even: Annotated[int, Field(multiple_of=2)]


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Union, "a union is not structural"),
        (Pair, "only tuple"),
        (Endless, "contains itself has no structural schema: Endless -> Endless"),
        (Multiple, "no keyword multipleOf"),
    ],
)
def test_a_type_that_kubernetes_cannot_express_is_an_error(model: type[ApiModel], says: str) -> None:
    with pytest.raises(NotStructuralError, match=says):
        structural(model)
