"""How the Gateway parts the requests that come through it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allod.domain.names import HTTP_PORT, child
from allod.domain.serving.canary.gateway import API
from allod.render.metadata import metadata

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.manifest import Manifest
    from allod.domain.serving.decision import Decision

__all__ = ["API", "http_route"]


def http_route(model: ModelDeployment, home: str, decision: Decision, services: frozenset[str]) -> Manifest:
    """Everything to the home or to the standby, but for the share of a revision on trial. `services`: names of those that are there.

    Without a time-out: an answer takes as long as it takes, and several implementations cut it at 15 s unless told otherwise.
    """
    canary = model.spec.rollout.canary
    hosts = {"hostnames": list(canary.hostnames)} if canary.hostnames else {}
    rule = {"backendRefs": _backends(model.metadata.name, home, decision, services), "timeouts": {"request": "0s"}}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata(model, model.metadata.name),
        "spec": {"parentRefs": [canary.parent_ref.document() if canary.parent_ref else {}], **hosts, "rules": [rule]},
    }


def _backends(model: str, home: str, decision: Decision, services: frozenset[str]) -> list[dict[str, Any]]:
    """Who has pods is listed before it gets a request and after it got the last one.

    Proxies learn of a backend and of its weight in two ways, in any order (measured with Contour and Envoy): a request for a backend that
    they do not know yet, or no more, is a 503.
    """
    weights = _weights(model, home, decision)
    waiting = (child(model, each.hash) for each in decision.revisions if decision.allocation.get(each.hash))
    weights |= {name: 0 for name in waiting if name in services and name not in weights}
    return [{"name": name, "port": HTTP_PORT, "weight": weight} for name, weight in weights.items()]


def _weights(model: str, home: str, decision: Decision) -> dict[str, int]:
    if decision.away:
        return {child(decision.away.model, decision.away.revision): 100}
    revision, share = decision.share or ("", 0)
    trying = {child(model, revision): share} if share else {}
    return ({child(model, home): 100 - share} if share < 100 else {}) | trying  # noqa: PLR2004  # all of them
