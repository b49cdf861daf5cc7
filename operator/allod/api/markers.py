"""What a pydantic type cannot say about a custom resource: markers for `Annotated`, read by `allod.api.schema`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cel:
    """A rule that the API server itself checks. `self` is the annotated value; with `oldSelf` it is checked on updates only.

    Rules avoid optionals (`?.`): lint evaluates the same text without a cluster, and its evaluator does not know them.
    """

    name: str
    """Of the rule, for people and tests: `gpu-count`. Unique in one kind; `allod lint` prints it."""
    rule: str
    message: str
    """What is wrong and what to do, in one sentence. Also what a person reads who has only the reference page."""
    message_expression: str | None = None
    """CEL that puts the numbers into the sentence; `message` stands in where it fails.

    Numbers go in by `'%d'.format([n])`: joining `string(n)` with `+` is refused by kube-apiserver 1.36 as over budget [measured].
    """
    field_path: str | None = None
    """Where a person has to look, relative to the annotated value: `.resources.gpu.count`. None: the value itself."""


@dataclass(frozen=True, slots=True)
class ListMap:
    """A list whose items are told apart by one key, so that two appliers may own one item each."""

    key: str = "name"


@dataclass(frozen=True, slots=True)
class ListSet:
    """A list of distinct scalars: a repeated one is refused."""


@dataclass(frozen=True, slots=True)
class SchemaDefault:
    """The API server itself fills this value in. Only where it must: such a default is a lasting diff to GitOps tools."""


@dataclass(frozen=True, slots=True)
class OpenObject:
    """An object whose unlisted fields are kept: Kubernetes' own type, of which the schema names only what rules read."""


@dataclass(frozen=True, slots=True)
class AtomicMap:
    """A map that is replaced as a whole, as Kubernetes does with selectors."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The schema of a value that stays plain JSON in Python: the fields of `model`, and any others beside them."""

    model: type
