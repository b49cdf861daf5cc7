"""Definitions of kinds for a real API server: our own, and as much of the Prometheus operator's as tests need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from box import waiting
from box.api import Refused

if TYPE_CHECKING:
    from box.controlplane import ControlPlane

OURS = Path(__file__).parents[2] / "crds"
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/modeldeployments.allod.dev"
PROMETHEUS = {"PodMonitor": "podmonitors", "PrometheusRule": "prometheusrules"}


def install_ours(plane: ControlPlane) -> None:
    """Returns when ModelDeployments are served."""
    plane.kubectl("apply", "--server-side", f"--filename={OURS}")
    wait_served(plane, "allod.dev/v1alpha1", "modeldeployments")


def loosen(plane: ControlPlane, *path: str, allow: str) -> None:
    """Let the field at this path of a ModelDeployment have one more value, as a newer CRD may: the operator's own models do not know it."""
    crd = plane.api.get(CRD)
    for version in crd["spec"]["versions"]:
        schema = version["schema"]["openAPIV3Schema"]
        for name in path:
            schema = schema["properties"][name]
        schema["enum"].append(allow)
    plane.api.send("PUT", CRD, crd)


def install_prometheus(plane: ControlPlane) -> None:
    """Returns when PodMonitors and PrometheusRules are served."""
    for kind, plural in PROMETHEUS.items():
        plane.kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(_crd(kind, plural)))
        wait_served(plane, "monitoring.coreos.com/v1", plural)


def wait_served(plane: ControlPlane, api_version: str, plural: str) -> None:
    """Not `kubectl wait`: it fails while a new CRD has no conditions at all, and one that is Established still answers 429 for a moment."""

    def served() -> bool:
        try:
            plane.api.get(f"/apis/{api_version}/{plural}")
        except Refused:
            return False
        return True

    waiting.until(f"{plural} are served", served, seconds=60)


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
