"""The CustomResourceDefinitions, made of the models: `manifests()` is what `crds/`, the chart and `allod crds` hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from allod.api.base import GROUP, VERSION, ApiModel
from allod.api.markers import VALIDATIONS, Schema
from allod.api.modeldeployment import ModelDeployment
from allod.api.schema import structural

API_VERSION_TEXT = "Version of this kind's schema: allod.dev/v1alpha1."
METADATA: Schema = {"type": "object", "properties": {"name": {"type": "string"}}}
"""Kubernetes brings its own schema of metadata; the name is listed because rules point at it."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`."""

    name: str
    type: str
    path: str
    """JSONPath into the object, beginning with a dot."""
    description: str
    wide: bool = False
    """Only with `-o wide`."""

    def document(self) -> dict[str, Any]:
        """As in additionalPrinterColumns."""
        priority = {"priority": 1} if self.wide else {}
        return {"name": self.name, "type": self.type, "jsonPath": self.path, "description": self.description, **priority}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of ours: its model, and how kubectl names and shows it."""

    model: type[ApiModel]
    singular: str
    plural: str
    short: str
    columns: tuple[Column, ...]
    scale: dict[str, str] | None = None
    """Paths of the scale subresource."""

    @property
    def name(self) -> str:
        """As in `kind:`."""
        return self.model.__name__

    @property
    def crd_name(self) -> str:
        """Of the CustomResourceDefinition."""
        return f"{self.plural}.{GROUP}"

    def schema(self) -> Schema:
        """The whole object's schema, with the name of each rule beside it."""
        schema = structural(self.model)
        properties = {
            "apiVersion": {"description": API_VERSION_TEXT, "type": "string"},
            "kind": {"description": f"{self.name}.", "type": "string"},
            **schema["properties"],
            "metadata": METADATA,
        }
        return {**schema, "required": ["spec"], "properties": properties}

    def manifest(self) -> dict[str, Any]:
        """The CustomResourceDefinition."""
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": self.crd_name},
            "spec": {
                "group": GROUP,
                "names": {
                    "kind": self.name,
                    "listKind": f"{self.name}List",
                    "plural": self.plural,
                    "singular": self.singular,
                    "shortNames": [self.short],
                    "categories": ["allod"],
                },
                "scope": "Namespaced",
                "versions": [
                    {
                        "name": VERSION,
                        "served": True,
                        "storage": True,
                        "additionalPrinterColumns": [column.document() for column in self.columns],
                        "subresources": {"status": {}, **({"scale": self.scale} if self.scale else {})},
                        "schema": {"openAPIV3Schema": _published(self.schema())},
                    }
                ],
            },
        }


KINDS = (
    Kind(
        model=ModelDeployment,
        singular="modeldeployment",
        plural="modeldeployments",
        short="mdl",
        columns=(
            Column("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether the model answers now."),
            Column("Serving", "string", ".status.traffic.name", "The revision that traffic goes to."),
            Column("Desired", "string", ".status.desiredRevision", "The revision that the spec asks for."),
            Column("Replicas", "string", ".status.ready", "Pods that serve, of those that the spec asks for."),
            Column("Model", "string", ".status.servedName", "The name by which clients ask for the model."),
            Column("Age", "date", ".metadata.creationTimestamp", "Since the object was made."),
            Column("Engine", "string", ".spec.engine.type", "The program that serves the model.", wide=True),
            Column("GPUs", "integer", ".status.gpus", "GPUs that its pods hold now.", wide=True),
            Column("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why it is ready or not.", wide=True),
        ),
        scale={
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    ),
)
"""Every kind of the API, in the order of the documentation."""


def manifests() -> list[dict[str, Any]]:
    """The CustomResourceDefinitions of all kinds, ready to be applied."""
    return [kind.manifest() for kind in KINDS]


def _published(schema: Schema) -> Schema:
    """Without the rules' names: x-kubernetes-validations has no place for them."""
    published: Schema = {}
    for key, value in schema.items():
        if key == VALIDATIONS:
            published[key] = [{part: text for part, text in rule.items() if part != "name"} for rule in value]
        elif key == "properties":
            published[key] = {name: _published(part) for name, part in value.items()}
        elif key in {"items", "additionalProperties"}:
            published[key] = _published(value)
        else:
            published[key] = list(value) if isinstance(value, list) else value
    return published
