"""Who may connect to a model, and whom it may connect to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allod.domain.names import HTTP_PORT, MODEL, REPLICA_GROUP, REVISION, group
from allod.render.metadata import metadata

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.manifest import Manifest
    from allod.domain.serving.seen import Defaults
    from allod.render.running import Running

NAMESPACE = "kubernetes.io/metadata.name"
"""Label that Kubernetes itself puts on every namespace."""
DNS_PORTS = (53, 5353)
"""5353: the pods' port behind OpenShift's DNS Service. What a policy compares is the port behind the Service."""


def network_policy(model: ModelDeployment, defaults: Defaults, runs: Running) -> Manifest:
    """Clients and the operator reach the HTTP port, pods of the model each other; out goes DNS, and HTTPS where an engine downloads.

    Where a replica has several pods, those of one group reach each other by a policy of the group's, and no other pods of the model do.
    It is one policy for all revisions: what one of them needs to start again is open, and what must be closed to one is closed to all.

    Prometheus is a client: it belongs into networkPolicy.allowFrom. Probes need no rule, they come from the pod's own node.
    """
    mine = {"podSelector": {"matchLabels": {MODEL: model.metadata.name}}}
    each_other = not runs.grouped
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(model, model.metadata.name),
        "spec": {
            **mine,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                _from_clients(model, defaults),
                *([{"from": [mine]}] if each_other else []),
            ],
            "egress": [
                *([{"to": [mine]}] if each_other else []),
                {"ports": [{"port": port, "protocol": protocol} for port in DNS_PORTS for protocol in ("UDP", "TCP")]},
                *([{"ports": [{"port": 443, "protocol": "TCP"}]}] if runs.downloads else []),
            ],
        },
    }


def group_policy(model: ModelDeployment, revision: str, number: int) -> Manifest:
    """The pods of one engine reach each other on every port: each rank listens on some 13 at random, for rendezvous and tensors."""
    name = group(model.metadata.name, revision, number)
    ours = {"podSelector": {"matchLabels": {MODEL: model.metadata.name, REVISION: revision, REPLICA_GROUP: str(number)}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(model, name, revision, {REPLICA_GROUP: str(number)}),
        "spec": {**ours, "policyTypes": ["Ingress", "Egress"], "ingress": [{"from": [ours]}], "egress": [{"to": [ours]}]},
    }


def standby_policy(model: ModelDeployment, standby: str, defaults: Defaults) -> Manifest:
    """The clients of the model may reach its standby too: policies add up, and the standby's own knows only its own clients."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(model, f"{model.metadata.name}.standby"),  # a dot: some model may well be called chat-standby
        "spec": {"podSelector": {"matchLabels": {MODEL: standby}}, "policyTypes": ["Ingress"], "ingress": [_from_clients(model, defaults)]},
    }


def _from_clients(model: ModelDeployment, defaults: Defaults) -> dict[str, Any]:
    allowed = model.spec.network_policy.allow_from
    clients = [{"podSelector": {}}] if allowed is None else [peer.document() for peer in allowed]
    operator = {"namespaceSelector": {"matchLabels": {NAMESPACE: defaults.operator_namespace}}}
    return {"from": [*clients, operator], "ports": [{"port": HTTP_PORT, "protocol": "TCP"}]}
