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


def http_route(model: ModelDeployment, home: str, decision: Decision) -> Manifest:
    """Everything to the home or to the standby, but for the share of a revision on trial.

    Without a time-out: an answer takes as long as it takes, and several implementations cut it at 15 s unless told otherwise.
    """
    canary = model.spec.rollout.canary
    hosts = {"hostnames": list(canary.hostnames)} if canary.hostnames else {}
    rule = {"backendRefs": _backends(model.metadata.name, home, decision), "timeouts": {"request": "0s"}}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata(model, model.metadata.name),
        "spec": {"parentRefs": [canary.parent_ref.document() if canary.parent_ref else {}], **hosts, "rules": [rule]},
    }


def _backends(model: str, home: str, decision: Decision) -> list[dict[str, Any]]:
    if decision.away:
        return [_backend(child(decision.away.model, decision.away.revision), 100)]
    revision, share = decision.share or ("", 0)
    trying = [_backend(child(model, revision), share)] if share else []
    rest = [_backend(child(model, home), 100 - share)] if share < 100 else []  # noqa: PLR2004  # all of them
    return [*rest, *trying]


def _backend(service: str, weight: int) -> dict[str, Any]:
    return {"name": service, "port": HTTP_PORT, "weight": weight}
