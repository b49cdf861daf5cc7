"""What a pydantic type cannot say about a custom resource: markers for `Annotated`, which write themselves into the schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from pydantic import BaseModel, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

Schema: TypeAlias = dict[str, Any]
"""JSONSchemaProps as JSON."""

VALIDATIONS = "x-kubernetes-validations"
DEFAULT_WANTED = "x-allod-default"
"""Between a marker and the generator only; never in a CRD."""


@dataclass(frozen=True, slots=True)
class Cel:
    """A rule that the API server itself checks. `self` is the value; a rule that names `oldSelf` is checked on updates only."""

    name: str
    """Of the rule, for people and tests: `gpu-count`. `allod lint` prints it."""
    rule: str
    """CEL without optionals (`?.`): lint evaluates the same text without a cluster, and its evaluator does not know them."""
    message: str
    """What is wrong and what to do, in one sentence. It stands in the reference too, so it makes sense without the object."""
    message_expression: str | None = None
    """CEL that puts the object's own values into the sentence.

    Values go in by `'%d %s'.format([n, list])`: joining with `+`, and `list.join(', ')`, are refused by kube-apiserver 1.36 as over
    budget by more than 100 times [measured].
    """

    field_path: str | None = None
    """Where a person has to look, relative to the value: `.parallelism`. None: the value itself."""

    def validation(self) -> Schema:
        """One item of x-kubernetes-validations, with the rule's name beside it, which no CRD has."""
        shown = {"messageExpression": self.message_expression, "fieldPath": self.field_path}
        return {"name": self.name, "rule": self.rule, "message": self.message, **{key: value for key, value in shown.items() if value}}

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        schema = handler(core)
        return {**schema, VALIDATIONS: [*schema.get(VALIDATIONS, ()), self.validation()]}


@dataclass(frozen=True, slots=True)
class ListMap:
    """A list whose items are told apart by one key, so that two appliers may own one item each."""

    key: str = "name"

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return {**handler(core), "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [self.key]}


@dataclass(frozen=True, slots=True)
class ListSet:
    """A list of distinct scalars: a repeated one is refused."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return {**handler(core), "x-kubernetes-list-type": "set"}


@dataclass(frozen=True, slots=True)
class AtomicMap:
    """A map that is replaced as a whole, as Kubernetes does with selectors."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return {**handler(core), "x-kubernetes-map-type": "atomic"}


@dataclass(frozen=True, slots=True)
class OpenObject:
    """An object whose unlisted fields are kept: Kubernetes' own type, of which the schema names only what rules read."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return {**handler(core), "x-kubernetes-preserve-unknown-fields": True}


@dataclass(frozen=True, slots=True)
class Shape:
    """The schema of a value that stays plain JSON in Python: the fields of `model`, and any others beside them."""

    model: type[BaseModel]

    def __get_pydantic_json_schema__(self, _core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return {**handler(self.model.__pydantic_core_schema__), "x-kubernetes-preserve-unknown-fields": True}


@dataclass(frozen=True, slots=True)
class SchemaDefault:
    """The API server itself fills the default in. Only where it must: such a default is a lasting diff to GitOps tools."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return {**handler(core), DEFAULT_WANTED: True}
