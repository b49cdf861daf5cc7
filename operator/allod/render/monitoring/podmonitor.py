"""Which pages Prometheus scrapes for a model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from allod.domain.names import MODEL, RANK, REPLICA_GROUP, REVISION
from allod.render.metadata import metadata

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.manifest import Manifest
    from allod.render.running import Running

API = "monitoring.coreos.com/v1/PodMonitor"
SHORT = 60
"""Seconds of the window of an SLO below which it is scraped as often as the operator looks: a rate needs some samples in its window."""


def pod_monitor(model: ModelDeployment, runs: Running) -> Manifest:
    """The engine of every pod that has a page, with model and revision as labels allod_dev_model and allod_dev_revision."""
    short = any(slo.window.seconds < SHORT for slo in model.spec.health.slos)
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata(model, model.metadata.name, labels=dict(model.spec.monitoring.labels)),
        "spec": {
            "selector": {"matchLabels": {MODEL: model.metadata.name}},
            "podTargetLabels": [MODEL, REVISION],
            "podMetricsEndpoints": [
                {"port": "http", "path": "/metrics", "interval": "10s" if short else "15s"} | (_leaders() if runs.grouped else {}),
            ],
        },
    }


def _leaders() -> dict[str, Any]:
    """Of the pods of one engine the first has its figures; the others have no page of them. Pods without a group are let through."""
    labels = [f"__meta_kubernetes_pod_label_{re.sub('[^A-Za-z0-9]', '_', name)}" for name in (REPLICA_GROUP, RANK)]
    return {"relabelings": [{"action": "drop", "sourceLabels": labels, "separator": ";", "regex": "[0-9]+;[1-9][0-9]*"}]}
