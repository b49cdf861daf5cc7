"""How many pods of a model a drain may take at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.domain.names import MODEL
from allod.render.metadata import metadata

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.manifest import Manifest


def disruption_budget(model: ModelDeployment) -> Manifest:
    """One at a time, over all revisions. A pod that does not serve never holds up a drain."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(model, model.metadata.name),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": {MODEL: model.metadata.name}},
        },
    }
