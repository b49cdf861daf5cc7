"""The StatefulSet of one revision: written once, then only its replicas change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.domain.names import MODEL, REVISION, child, peers
from allod.render.metadata import metadata
from allod.render.serving.pods import pod_template

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.manifest import Manifest
    from allod.domain.serving.seen import Defaults


def statefulset(model: ModelDeployment, revision: str, defaults: Defaults) -> Manifest:
    """As the ControllerRevision keeps it: without replicas, which are no part of a revision."""
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(model, child(model.metadata.name, revision), revision),
        "spec": {
            "serviceName": peers(model.metadata.name, revision),
            "selector": {"matchLabels": {MODEL: model.metadata.name, REVISION: revision}},
            "podManagementPolicy": "Parallel",  # replicas do not know each other: none waits for another
            "updateStrategy": {"type": "OnDelete"},  # a revision never changes, so its pods are never rolled
            "template": pod_template(model, revision, defaults),
        },
    }


def scaled(kept: Manifest, replicas: int) -> Manifest:
    """What is kept, with its pods."""
    return kept | {"spec": {"replicas": replicas} | kept["spec"]}
