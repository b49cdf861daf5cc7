"""What somebody really asked of the API server, by the API server's own audit log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from box import gobuild
from box.components import flags

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from box.controlplane import ControlPlane

CREATED = 201
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
DECISION = "authorization.k8s.io/decision"
"""The status code tells less: 403 is also what a namespace answers that is being deleted."""
POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""

Right = tuple[str, str, str]
"""(API group, resource or resource/subresource, verb), as in a rule of a Role."""


def audited(plane: ControlPlane) -> Path:
    """Starts the API server of this control plane again, with an audit log. Returns the log."""
    policy, log = plane.state / "audit-policy.yaml", plane.state / "audit.log"
    policy.write_text(POLICY)
    plane.end("kube-apiserver")
    auditing = ("--audit-policy-file", policy, "--audit-log-path", log)
    plane.programs.start(
        "kube-apiserver", [gobuild.built().kube, "kube-apiserver", *flags("kube-apiserver", plane.at, plane.state), *auditing]
    )
    plane.wait_ready()
    return log


def called_verbs(log: Path, user: str) -> set[Right]:
    """The rights that this user needed for what it called. Discovery and other paths without a resource need none."""
    return {right for event in events(log, user) if "objectRef" in event for right in _rights(event)}


def refused(log: Path, user: str) -> set[str]:
    """Requests of this user that RBAC forbade, as VERB URL."""
    told = (each for each in events(log, user) if each.get("annotations", {}).get(DECISION) == "forbid")
    return {f"{each['verb']} {each['requestURI']}" for each in told}


def events(log: Path, user: str) -> Iterator[dict[str, Any]]:
    """The log's entries about this user. The last line may still be on its way to the file."""
    for line in log.read_text().splitlines(keepends=True):
        if line.endswith("\n") and (event := json.loads(line))["user"]["username"] == user:
            yield event


def _rights(event: dict[str, Any]) -> Iterator[Right]:
    at = event["objectRef"]
    resource = "/".join(part for part in (at["resource"], at.get("subresource")) if part)
    yield at.get("apiGroup", ""), resource, event["verb"]
    # A server-side apply that made the object was authorized for both.
    if event["verb"] == "patch" and event.get("responseStatus", {}).get("code") == CREATED:
        yield at.get("apiGroup", ""), resource, "create"
