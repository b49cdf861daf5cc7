"""The StatefulSet of one revision: written once, then only its replicas change. One for each replica where that has several pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.domain.names import MODEL, REPLICA_GROUP, REVISION, child, peers
from allod.render.metadata import metadata
from allod.render.serving.pods import pod_template

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.manifest import Manifest
    from allod.domain.serving.seen import Defaults


def statefulset(model: ModelDeployment, revision: str, defaults: Defaults) -> Manifest:
    """As the ControllerRevision keeps it: without replicas, which are no part of a revision. How many pods a replica has is."""
    size = {"replicas": model.spec.nodes} if model.spec.nodes > 1 else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(model, child(model.metadata.name, revision), revision),
        "spec": {
            **size,
            "serviceName": peers(model.metadata.name, revision),
            "selector": {"matchLabels": {MODEL: model.metadata.name, REVISION: revision}},
            "podManagementPolicy": "Parallel",  # replicas do not know each other, and ranks wait for all: none waits for another to begin
            "updateStrategy": {"type": "OnDelete"},  # a revision never changes, so its pods are never rolled
            "template": pod_template(model, revision, defaults),
        },
    }


def scaled(kept: Manifest, replicas: int) -> Manifest:
    """What is kept, with its pods."""
    return kept | {"spec": {"replicas": replicas} | kept["spec"]}


def grouped(kept: Manifest, number: int) -> Manifest:
    """The pods of one replica, of several: a rank is known by its pod's index, its group by this label."""
    meta, spec, label = kept["metadata"], kept["spec"], {REPLICA_GROUP: str(number)}
    template = spec["template"]
    pods = template | {"metadata": template["metadata"] | {"labels": template["metadata"]["labels"] | label}}
    selector = {"matchLabels": spec["selector"]["matchLabels"] | label}
    named = meta | {"name": f"{meta['name']}-g{number}", "labels": meta["labels"] | label}
    return kept | {"metadata": named, "spec": spec | {"selector": selector, "template": pods}}
