"""Which pages Prometheus scrapes for a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.domain.names import MODEL, REVISION
from allod.render.metadata import metadata

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.manifest import Manifest

API = "monitoring.coreos.com/v1/PodMonitor"
SHORT = 60
"""Seconds of the window of an SLO below which it is scraped as often as the operator looks: a rate needs some samples in its window."""


def pod_monitor(model: ModelDeployment) -> Manifest:
    """The engine of every pod, with model and revision as labels allod_dev_model and allod_dev_revision."""
    short = any(slo.window.seconds < SHORT for slo in model.spec.health.slos)
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata(model, model.metadata.name, labels=dict(model.spec.monitoring.labels)),
        "spec": {
            "selector": {"matchLabels": {MODEL: model.metadata.name}},
            "podTargetLabels": [MODEL, REVISION],
            "podMetricsEndpoints": [{"port": "http", "path": "/metrics", "interval": "10s" if short else "15s"}],
        },
    }
