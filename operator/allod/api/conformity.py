"""Whether a value has the shape that a structural schema asks for, said in sentences."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from allod.api.markers import VALIDATIONS, Schema
from allod.api.values import SHAPE

if TYPE_CHECKING:
    from collections.abc import Iterator


UNKNOWN = "x-kubernetes-preserve-unknown-fields"
TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "boolean": (bool,), "integer": (int,), "object": (dict,), "array": (list,)}
WORDS = {dict: "a map", list: "a list", str: "a string", bool: "true or false", int: "a number", float: "a number"}
WANTED = {"string": "a string", "boolean": "true or false", "integer": "a whole number", "object": "a map", "array": "a list"}


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that the API server would refuse."""

    rule: str
    """Name of the rule: `gpu-count`, or `required`, `type`, `enum`, `bounds`, `duplicate`, `unknown-field` of the schema."""
    path: str
    """Where, as in `spec.engine.env[0].name`."""
    message: str
    """What is wrong and what to do, in one sentence."""
    placed: bool = field(default=True, compare=False)
    """The sentence says where. A rule about one value, which many fields have, cannot: the API server writes the path before it."""

    @property
    def whole(self) -> str:
        """The sentence with its place."""
        return self.message if self.placed else f"{self.path}: {self.message}"


def mismatches(path: str, schema: Schema, value: Any) -> Iterator[Violation]:
    """What of a value is not as its schema says."""
    if not _of_type(schema, value):
        yield Violation("type", path, f"{path} is {_word(value)} and has to be {_wanted(schema)}{_shape(schema)}")
    elif isinstance(value, dict):
        yield from _object(path, schema, value)
    elif isinstance(value, list):
        yield from _array(path, schema, value)
    else:
        yield from _scalar(path, schema, value)


def _of_type(schema: Schema, value: Any) -> bool:
    if schema.get("x-kubernetes-int-or-string"):
        return isinstance(value, (int, str)) and not isinstance(value, bool)
    kinds = TYPES[schema["type"]]
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def _wanted(schema: Schema) -> str:
    return "a string or a whole number" if schema.get("x-kubernetes-int-or-string") else WANTED[schema["type"]]


def _shape(schema: Schema) -> str:
    """How such a value is written, for one that is not even of its type: `memory: 128`."""
    shapes = [rule["message"] for rule in schema.get(VALIDATIONS, ()) if rule["name"].endswith(SHAPE)]
    return f": {shapes[0]}" if shapes else ""


def _word(value: Any) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"the number {value}"
    return WORDS.get(type(value), type(value).__name__)


def _object(path: str, schema: Schema, value: dict[str, Any]) -> Iterator[Violation]:
    fields = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            at = _below(path, name)
            yield Violation("required", at, f"{at} is missing: {fields[name].get('description', '')}".rstrip(": "))
    if len(value) > schema.get("maxProperties", len(value)):
        yield Violation("bounds", path, f"{path} has {_count(value, 'entry', 'entries')} and may have {schema['maxProperties']}")
    for name, part in value.items():
        if name in fields:
            yield from mismatches(_below(path, name), fields[name], part)
        elif isinstance(schema.get("additionalProperties"), dict):
            yield from mismatches(_below(path, name), schema["additionalProperties"], part)
        elif fields and not schema.get(UNKNOWN):
            yield Violation("unknown-field", _below(path, name), f"there is no field {_below(path, name)}{_meant(path, name, fields)}")


def _meant(path: str, name: str, fields: Schema) -> str:
    """What a misspelt field could be; else where a field of this name is, a level deeper; else all that there are."""
    near = difflib.get_close_matches(name.lower(), {field.lower() for field in fields}, 1)
    same = next((field for field in fields if near and field.lower() == near[0]), None)
    if same:
        return f": did you mean {same}?"
    deeper = [field for field, schema in fields.items() if name in schema.get("properties", {})]
    if len(deeper) == 1:
        return f": did you mean {_below(path, deeper[0])}.{name}?"
    return f": {path or 'a manifest'} has {', '.join(fields)}"


def _array(path: str, schema: Schema, value: list[Any]) -> Iterator[Violation]:
    least, most = schema.get("minItems", 0), schema.get("maxItems", len(value))
    if not least <= len(value) <= most:
        yield Violation("bounds", path, f"{path} has {_count(value, 'item', 'items')} and may have {least} to {most}")
    keys = schema.get("x-kubernetes-list-map-keys", ())
    seen: list[Any] = []
    for index, item in enumerate(value):
        yield from mismatches(f"{path}[{index}]", schema["items"], item)
        told_by = [item.get(key) for key in keys] if keys and isinstance(item, dict) else item
        if schema.get("x-kubernetes-list-type") in {"map", "set"} and told_by in seen:
            name = " ".join(str(part) for part in told_by) if isinstance(told_by, list) else told_by
            yield Violation("duplicate", f"{path}[{index}]", f"{path} has {name} twice: remove one of them")
        seen.append(told_by)


def _scalar(path: str, schema: Schema, value: str | float) -> Iterator[Violation]:
    if "enum" in schema and value not in schema["enum"]:
        yield Violation("enum", path, f"{path} is {value} and has to be one of {', '.join(schema['enum'])}")
    if isinstance(value, str):
        least, most = schema.get("minLength", 0), schema.get("maxLength", len(value))
        if not least <= len(value) <= most:
            yield Violation("bounds", path, f"{path} has {_count(value, 'character', 'characters')} and may have {least} to {most}")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield Violation("pattern", path, f"{path} is {value} and has to match {schema['pattern']}")
    elif not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield Violation("bounds", path, f"{path} is {value} and has to be {schema['minimum']} to {schema['maximum']}")


def _count(value: str | list[Any] | dict[str, Any], one: str, many: str) -> str:
    return f"{len(value)} {one if len(value) == 1 else many}"


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
