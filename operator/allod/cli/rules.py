"""What each rule of lint and plan is about, for those who read its name alone: code review shows it beside the finding."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from allod.api.crds import KINDS
from allod.api.markers import VALIDATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN = {
    "unreadable": "Every file that is named can be read.",
    "yaml": "A file holds YAML or JSON, and each document is a manifest.",
    "duplicate-key": "No key stands twice in one mapping: the first one would be lost without a word.",
    "ignored": "Objects of other kinds are left alone.",
    "kind": "apiVersion and kind are ones that this version knows.",
    "required": "Fields without which nothing can be made are written.",
    "type": "A value has the type of its field.",
    "enum": "A value is one of those that its field knows.",
    "bounds": "A number, a text or a list is not larger or smaller than its field allows.",
    "pattern": "A text has the shape that its field asks for.",
    "duplicate": "No item stands twice in a list of distinct items.",
    "unknown-field": "Every field is one that this version knows.",
    "unknown-flag": "The version of the engine knows every flag that it is given.",
    "duplicate-object": "Each object is written once.",
    "name-taken": "No two models of one namespace have one served name or alias.",
    "standby-points-back": "Of two models, one is the standby of the other.",
    "standby-task": "A standby is for the same task as its primary.",
    "standby-name": "A standby answers to all names of its primary.",
    "tensor-heads": "The attention heads of the model can be divided among parallelism.tensor.",
    "pipeline-layers": "parallelism.pipeline is not more than the model has layers.",
    "memory": "The model fits into the memory that is reserved for it.",
}
"""The rules that are no CEL of the CRDs, by name."""


def about(rule: str) -> str:
    """One sentence."""
    return OWN.get(rule) or _of_the_crds()[rule]


@cache
def _of_the_crds() -> dict[str, str]:
    return {rule["name"]: rule["message"] for kind in KINDS for rule in _rules(kind.schema())}


def _rules(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield from schema.get(VALIDATIONS, ())
        for part in schema.values():
            yield from _rules(part)
