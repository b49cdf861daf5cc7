"""Which pages Prometheus scrapes for a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.domain.names import MODEL, REVISION
from allod.render.metadata import metadata

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.manifest import Manifest

API = "monitoring.coreos.com/v1/PodMonitor"


def pod_monitor(model: ModelDeployment) -> Manifest:
    """The engine of every pod, with model and revision as labels allod_dev_model and allod_dev_revision."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata(model, model.metadata.name, labels=dict(model.spec.monitoring.labels)),
        "spec": {
            "selector": {"matchLabels": {MODEL: model.metadata.name}},
            "podTargetLabels": [MODEL, REVISION],
            "podMetricsEndpoints": [{"port": "http", "path": "/metrics", "interval": "15s"}],
        },
    }
