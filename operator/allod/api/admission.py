"""What the API server would say to a manifest, without one: first the schema, then the CEL rules, in the same sentences."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from allod.api.base import GROUP, VERSION
from allod.api.conformity import Violation, mismatches
from allod.api.crds import KINDS
from allod.api.evaluation import evaluate
from allod.api.markers import VALIDATIONS, Schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ABSENT: Any = object()

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer"}
_TEXTS: Schema = {"type": "object", "additionalProperties": _TEXT}
_OBJECTS: Schema = {"type": "array", "items": {"type": "object"}}
OBJECT_META: Schema = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("name", "namespace", "generateName", "uid", "resourceVersion", "selfLink"), _TEXT),
        **dict.fromkeys(("creationTimestamp", "deletionTimestamp"), _TEXT),
        **dict.fromkeys(("labels", "annotations"), _TEXTS),
        **dict.fromkeys(("generation", "deletionGracePeriodSeconds"), _NUMBER),
        **dict.fromkeys(("ownerReferences", "managedFields"), _OBJECTS),
        "finalizers": {"type": "array", "items": _TEXT},
    },
}
"""Kubernetes' own metadata. No CRD may describe it, and a label that is a number is the commonest slip of all."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A value, where it is, and what it was before the update (ABSENT: it is new, or cannot be told apart)."""

    path: str
    schema: Schema
    value: Any
    old: Any


def violations(raw: dict[str, Any], old: dict[str, Any] | None = None) -> list[Violation]:
    """Everything that is wrong with a manifest of one of our kinds; empty when the API server would take it.

    `old` is the object before an update: rules about changes are checked against it. A rule about a part that is not of its
    type is left out, as the API server does. Unknown fields are violations, as with kubectl.
    """
    known = {one.name: one for one in KINDS}
    if unknown := [*_kind(raw, known)]:
        return unknown
    schema = known[raw["kind"]].schema()
    raw, old = _written(raw), _written(old)
    wrong = list(mismatches("", {**schema, "properties": {**schema["properties"], "metadata": OBJECT_META}}, raw))
    if not isinstance(raw.get("metadata"), dict) or not raw["metadata"].get("name"):
        wrong.append(Violation("required", "metadata.name", "metadata.name is missing"))
    broken = [violation.path for violation in wrong if violation.rule != "unknown-field"]
    parts = _parts(_Part("", schema, raw, ABSENT if old is None else old))
    return wrong + [found for part in parts if not _touches(part.path, broken) for found in _refusals(part)]


def _kind(raw: dict[str, Any], known: Iterable[str]) -> Iterator[Violation]:
    """What is wrong with the two lines that say what the manifest is."""
    for field, right in (("apiVersion", [f"{GROUP}/{VERSION}"]), ("kind", [*known])):
        written = raw.get(field)
        if written is None:
            yield Violation("kind", field, f"{field} is missing: write {field}: {' or '.join(right)}")
        elif written not in right:
            meant = difflib.get_close_matches(str(written), right, 1) or right
            there = f"{GROUP} has no {'version' if field == 'apiVersion' else 'kind'} {str(written).removeprefix(GROUP + '/')}"
            yield Violation("kind", field, f"{there}: write {field}: {' or '.join(meant)}")


def _written(value: Any) -> Any:
    """Without the keys that have null: they count as absent."""
    if isinstance(value, dict):
        return {key: _written(part) for key, part in value.items() if part is not None}
    return [_written(part) for part in value] if isinstance(value, list) else value


def _touches(path: str, broken: list[str]) -> bool:
    """Whether something inside this part is not of its type, so that a rule about it means nothing."""
    return any(not path or at == path or at.startswith((f"{path}.", f"{path}[")) for at in broken)


def _parts(part: _Part) -> Iterator[_Part]:
    """The part itself and all parts of it that have a schema."""
    yield part
    if isinstance(part.value, dict):
        for name, schema in part.schema.get("properties", {}).items():
            if name in part.value:
                yield from _parts(_Part(f"{part.path}.{name}".lstrip("."), schema, part.value[name], _old_field(part.old, name)))
    if isinstance(part.value, list) and "items" in part.schema:
        keys = part.schema.get("x-kubernetes-list-map-keys", ())
        for index, item in enumerate(part.value):
            yield from _parts(_Part(f"{part.path}[{index}]", part.schema["items"], item, _old_item(part.old, item, keys)))


def _old_field(old: Any, name: str) -> Any:
    return old.get(name, ABSENT) if isinstance(old, dict) else ABSENT


def _old_item(old: Any, item: Any, keys: list[str]) -> Any:
    """Items are the same ones only in a list-map, by its key."""
    if not keys or not isinstance(old, list):
        return ABSENT
    return next((one for one in old if all(one.get(key) == item.get(key) for key in keys)), ABSENT)


def _refusals(part: _Part) -> Iterator[Violation]:
    for rule in part.schema.get(VALIDATIONS, ()):
        about_change = "oldSelf" in rule["rule"]
        if about_change and part.old is ABSENT:
            continue
        variables = {"self": part.value, **({"oldSelf": part.old} if about_change else {})}
        if not evaluate(rule["rule"], variables):
            told = evaluate(rule["messageExpression"], variables) if "messageExpression" in rule else rule["message"]
            path = f"{part.path}{rule.get('fieldPath', '')}".lstrip(".")
            placed = isinstance(part.value, (dict, list)) or ".".join(path.split(".")[-2:]) in told
            yield Violation(rule["name"], path, told, placed=placed)
