"""Three Services: for clients, for one revision, and for the names of its pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.domain.names import HTTP_PORT, MODEL, REVISION, STANDS_IN, TRAFFIC, child, peers
from allod.render.metadata import metadata

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.manifest import Manifest
    from allod.domain.serving.decision import Away

PORTS = [{"name": "http", "port": HTTP_PORT, "targetPort": "http", "protocol": "TCP"}]


def stable_service(model: ModelDeployment, home: str, away: Away | None = None) -> Manifest:
    """What clients use. Its selector is the traffic switch: one write moves all of it, to another revision or to the standby's pods."""
    service = _service(model, model.metadata.name, home, None)
    if away:
        service["metadata"]["annotations"] = {STANDS_IN: away.why}
        service["spec"]["selector"] |= {MODEL: away.model, REVISION: away.revision}
    return service


def revision_service(model: ModelDeployment, revision: str) -> Manifest:
    """The ready pods of one revision. Its selector never changes, so that route weights may name it."""
    return _service(model, child(model.metadata.name, revision), revision, revision)


def peers_service(model: ModelDeployment, revision: str) -> Manifest:
    """Names of the pods, also of those that are not ready: the StatefulSet's governing Service. It carries no traffic of clients."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(model, peers(model.metadata.name, revision), revision),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {MODEL: model.metadata.name, REVISION: revision},
            "ports": PORTS,
        },
    }


def _service(model: ModelDeployment, name: str, target: str, revision: str | None) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(model, name, revision),
        "spec": {
            "selector": {MODEL: model.metadata.name, REVISION: target, TRAFFIC: "on"},
            "ports": PORTS,
        },
    }
