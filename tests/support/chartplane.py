"""A control plane for tests of the chart: one of its own, as the chart brings the CRDs and nobody else may have brought them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from box import controlplane

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from box.controlplane import ControlPlane

NODES = 2
FAKE = {"key": "kwok.x-k8s.io/node", "operator": "Exists"}
"""Toleration of the taint that pretended nodes have."""
ON_FAKE_NODES = f"tolerations={json.dumps([FAKE])}"
"""The same as a value of the chart."""


@contextmanager
def chart_plane(folder: Path) -> Iterator[ControlPlane]:
    """Two pretended nodes, a release namespace that enforces restricted pods, and three namespaces for models and others."""
    with controlplane.control_plane(folder, fake_nodes=NODES) as plane:
        plane.kubectl("create", "namespace", "allod-system")
        plane.kubectl("label", "namespace", "allod-system", "pod-security.kubernetes.io/enforce=restricted")
        for namespace in ("ai", "research", "argocd"):
            plane.kubectl("create", "namespace", namespace)
        yield plane


def get(plane: ControlPlane, *words: str) -> Any:
    """`kubectl get ... --output json`."""
    return json.loads(plane.kubectl("get", *words, "--output", "json"))
