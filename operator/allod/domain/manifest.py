"""What a Kubernetes object is to us: a JSON document, and the few facts by which one is told from another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

Manifest: TypeAlias = dict[str, Any]
"""One Kubernetes object as JSON: what `kubectl get -o json` prints."""


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """Which object: enough to get, delete or apply it."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def ref(manifest: Manifest) -> Ref:
    """The identity of a manifest. A cluster-scoped object has the empty namespace."""
    meta = manifest["metadata"]
    return Ref(manifest["apiVersion"], manifest["kind"], meta.get("namespace", ""), meta["name"])
