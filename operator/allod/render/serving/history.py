"""The ControllerRevision: a revision as it was made, to repair it to and to go back to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.domain.names import child
from allod.render.metadata import metadata

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.manifest import Manifest
    from allod.domain.serving.revision import Revision


def controller_revision(model: ModelDeployment, revision: Revision, kept: Manifest) -> Manifest:
    """Kubernetes lets nobody change its data, so a newer operator that renders otherwise touches no running revision."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata(model, child(model.metadata.name, revision.hash), revision.hash),
        "revision": revision.number,
        "data": {"spec": dict(revision.snapshot), "statefulset": kept},
    }
