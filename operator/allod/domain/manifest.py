"""What a Kubernetes object is to us: a JSON document, and the few facts by which one is told from another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

Manifest: TypeAlias = dict[str, Any]
"""One Kubernetes object as JSON: what `kubectl get -o json` prints."""
ABSENT = "1"
"""A resourceVersion that no object has, for etcd's first write is its second revision. Applied, it makes an object that is not there and
is a conflict with one that is (measured on 1.36 for built-in kinds and CRDs, and asked again by each run of tests/control_plane). Not POST:
what a POST wrote belongs to another entry of managedFields than what is applied later, and would never go by not being sent any more."""


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
