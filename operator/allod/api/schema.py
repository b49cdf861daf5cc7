"""pydantic models -> the structural OpenAPI schemas that Kubernetes takes, CEL rules included."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

from allod.api.base import ApiModel
from allod.api.markers import DEFAULT_WANTED, VALIDATIONS, Schema

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import core_schema

INT32 = 2**31 - 1
ORDER = (
    "description",
    "type",
    "format",
    "anyOf",
    "enum",
    "default",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "properties",
    "items",
    "additionalProperties",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
    VALIDATIONS,
)
"""Every keyword that we use, in the order in which a person reads a schema. Any other is an error."""

USUAL = "what the operator takes instead"
"""Until the text of the field is made: a default that is not the API server's belongs into it."""


class NotStructuralError(TypeError):
    """A type that a CRD cannot express, such as a union of two models."""


class StructuralSchema(GenerateJsonSchema):
    """Each override turns what pydantic says into what Kubernetes calls structural."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Optional in Kubernetes means that the key may be left out, never null."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Defaults are the operator's, unless marked: see `SchemaDefault`."""
        inner, default = self.generate_inner(schema["schema"]), schema.get("default")
        if inner.pop(DEFAULT_WANTED, False):
            return {**inner, "default": default}
        return {**inner, USUAL: _written(default)} if isinstance(default, (str, int)) else inner

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        """`const`, which pydantic writes for a single word, is unknown to Kubernetes."""
        return {"type": "string", "enum": list(schema["expected"])}

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        """With the format that the bounds need."""
        largest = schema.get("le")
        fits = largest is not None and largest <= INT32
        return {**super().int_schema(schema), "format": "int32" if fits else "int64"}

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """With the rules across its fields."""
        made = super().model_schema(schema)
        made.pop("title", None)
        model = schema["cls"]
        if issubclass(model, ApiModel) and model.rules:
            made[VALIDATIONS] = [rule.validation() for rule in model.rules]
        return made

    def union_schema(self, schema: core_schema.UnionSchema) -> JsonSchemaValue:
        """Optional members with a rule "exactly one of" stand for a union."""
        raise NotStructuralError(f"a union is not structural: {schema}")

    def tuple_schema(self, schema: core_schema.TupleSchema) -> JsonSchemaValue:
        """`tuple[X, ...]` is a list that nobody can change; any other tuple is not structural."""
        if schema.get("variadic_item_index") != 0 or len(schema["items_schema"]) != 1:
            raise NotStructuralError(f"only tuple[X, ...] is structural: {schema}")
        return super().tuple_schema(schema)

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  the signature is pydantic's
        """A title would only repeat the field's name."""
        return False


@cache
def structural(model: type[ApiModel]) -> Schema:
    """The whole schema of a model: references put in place, keywords in reading order. Callers share it: not to be changed."""
    made = model.model_json_schema(by_alias=True, schema_generator=StructuralSchema)
    definitions = made.pop("$defs", {})
    return _inlined(made, definitions, ())


def _inlined(schema: Schema, definitions: Schema, within: tuple[str, ...]) -> Schema:
    if reference := schema.pop("$ref", None):
        name = reference.rpartition("/")[2]
        if name in within:
            raise NotStructuralError(f"a type that contains itself has no structural schema: {' -> '.join((*within, name))}")
        target = definitions[name]
        rules = [*target.get(VALIDATIONS, ()), *schema.get(VALIDATIONS, ())]
        schema = {**target, **schema, **({VALIDATIONS: rules} if rules else {})}
        within = (*within, name)
    usual = schema.pop(USUAL, None)
    if unknown := schema.keys() - set(ORDER):
        raise NotStructuralError(f"{' > '.join(within)}: Kubernetes has no keyword {', '.join(sorted(unknown))}")
    schema = {key: schema[key] for key in ORDER if key in schema}
    if "description" in schema:
        schema["description"] = _told(" ".join(schema["description"].split()), usual)
    if "properties" in schema:
        schema["properties"] = {name: _inlined({**part}, definitions, within) for name, part in schema["properties"].items()}
    for inside in ("items", "additionalProperties"):
        if isinstance(schema.get(inside), dict):
            schema[inside] = _inlined({**schema[inside]}, definitions, within)
    return schema


def _told(text: str, usual: str | None) -> str:
    """With what happens where the field is left out, unless the text says it in words of its own."""
    return text if usual is None or "Without" in text else f"{text} Without it: {usual}."


def _written(default: str | int) -> str:
    """As in YAML."""
    return str(default).lower() if isinstance(default, bool) else str(default)
