"""The ground of every model of the API: names on the wire, tolerance towards newer versions, and the metadata of objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from allod.api.markers import Cel

GROUP = "allod.dev"
VERSION = "v1alpha1"

Name = Annotated[str, Field(min_length=1, max_length=253)]
"""Of another object in the same namespace."""
Token = Annotated[str, Field(min_length=1, max_length=63)]
"""An enum-like word or a label value."""
Text = Annotated[str, Field(max_length=1024)]
"""A value that we hand on, or a sentence for a person."""
Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
"""RFC 3339, as Kubernetes writes it."""
LabelMap = Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=64)]


class ApiModel(BaseModel):
    """camelCase on the wire, snake_case here; what a newer version of the API added is ignored; values never change.

    A field's Python default is what the operator does without it; it never becomes a default of the schema unless it is
    marked `SchemaDefault`. `document()` gives back only what was written.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    rules: ClassVar[tuple[Cel, ...]] = ()
    """Rules across this object's fields."""

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, written: Any) -> Any:
        """`key: null` in a manifest means what leaving the key out means, as everywhere in Kubernetes."""
        if isinstance(written, dict):
            return {key: value for key, value in written.items() if value is not None}
        return written

    def document(self) -> dict[str, Any]:
        """JSON as the user wrote it: no defaults filled in, so that a new default of ours never looks like an edit."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class ObjectMeta(ApiModel):
    """The part of an object's metadata that decisions use."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    """Of the spec: goes up by one with every edit of it."""
    resource_version: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    creation_timestamp: str = ""
    """RFC 3339; empty for a manifest that no cluster has seen."""
