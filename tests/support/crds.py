"""Definitions of kinds for a real API server: our own, and as much of the Prometheus operator's as tests need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from box.controlplane import ControlPlane

OURS = Path(__file__).parents[2] / "crds"
PROMETHEUS = {"PodMonitor": "podmonitors", "PrometheusRule": "prometheusrules"}


def install_ours(plane: ControlPlane) -> None:
    """Returns when ModelDeployments are served."""
    plane.kubectl("apply", "--server-side", f"--filename={OURS}")
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/modeldeployments.allod.dev")


def install_prometheus(plane: ControlPlane) -> None:
    """Returns when PodMonitors and PrometheusRules are served."""
    for kind, plural in PROMETHEUS.items():
        plane.kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(_crd(kind, plural)))
        plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/{plural}.monitoring.coreos.com")


def _crd(kind: str, plural: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
