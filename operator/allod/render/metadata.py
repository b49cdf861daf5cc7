"""What every child carries: labels to find it by, an owner to end it with, and the mark of what was applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allod.domain.names import API_VERSION, APPLIED, FIELD_MANAGER, MANAGED_BY, MODEL, REVISION
from allod.domain.serving.revision import digest

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.manifest import Manifest


def metadata(model: ModelDeployment, name: str, revision: str | None = None, labels: dict[str, str] | None = None) -> dict[str, Any]:
    """Of a child in the model's namespace. No label of the model itself is copied: a GitOps tool would take the child for its own."""
    ours = {MANAGED_BY: FIELD_MANAGER, MODEL: model.metadata.name} | ({REVISION: revision} if revision else {})
    return {"name": name, "namespace": model.metadata.namespace, "labels": (labels or {}) | ours}


def finished(model: ModelDeployment, manifest: Manifest) -> Manifest:
    """The manifest with its owner and the digest of itself. An owner without a uid (no cluster has seen it) is left out."""
    owned = manifest
    if model.metadata.uid:
        owner = {
            "apiVersion": API_VERSION,
            "kind": "ModelDeployment",
            "name": model.metadata.name,
            "uid": model.metadata.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
        owned = manifest | {"metadata": manifest["metadata"] | {"ownerReferences": [owner]}}
    return owned | {"metadata": owned["metadata"] | {"annotations": owned["metadata"].get("annotations", {}) | {APPLIED: digest(owned)}}}
