"""ModelDeployments on a real API server: made, changed, waited for. Their pods run on pretended nodes, where each is Ready at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from allod.adapters.resources import MODELDEPLOYMENTS, OPTIONAL, REQUIRED, Resource, resource
from box import waiting

if TYPE_CHECKING:
    from box.controlplane import ControlPlane

ANYWHERE = {"operator": "Exists"}
"""Pretended nodes have a taint, and on a busy machine they are late to say that they are well, which is another."""
SPEC: dict[str, Any] = {
    "model": {"uri": "oci://registry.example.com/models/smollm2:1/model.gguf"},
    "engine": {"type": "LlamaCpp"},
    "resources": {"memory": "1Gi"},
    "replicas": 2,
    "rollout": {"bake": "0s"},
    "scheduling": {"tolerations": [ANYWHERE]},
}
CHILDREN = tuple(each for each in REQUIRED if each.kind not in ("ModelDeployment", "Pod", "Event"))
MERGE = "application/merge-patch+json"


class Models:
    """The models of one namespace."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.plane, self.namespace = plane, namespace
        self._api = plane.api
        plane.kubectl("create", "namespace", namespace)

    def create(self, name: str = "chat", **changes: Any) -> None:
        """A model like SPEC, with top-level fields of the spec changed."""
        body = {"apiVersion": MODELDEPLOYMENTS.api_version, "kind": "ModelDeployment", "metadata": {"name": name}, "spec": SPEC | changes}
        self._api.send("POST", MODELDEPLOYMENTS.path(self.namespace), body)

    def edit(self, name: str = "chat", **changes: Any) -> None:
        """Merge into the spec."""
        self.patch(MODELDEPLOYMENTS, name, {"spec": changes})

    def patch(self, of: Resource, name: str, body: dict[str, Any], subresource: str = "") -> None:
        """Merge into any object, as anybody with kubectl could."""
        self._api.send("PATCH", of.path(self.namespace, name, subresource), body, MERGE)

    def delete(self, of: Resource, name: str) -> None:
        self._api.send("DELETE", of.path(self.namespace, name))

    def get(self, name: str = "chat", of: Resource = MODELDEPLOYMENTS) -> dict[str, Any]:
        return self._api.get(of.path(self.namespace, name))

    def all(self, of: Resource) -> list[dict[str, Any]]:
        """Every object of a kind that is ours. The StatefulSet controller keeps ControllerRevisions of its own under our labels."""
        found = self._api.items(of.path(self.namespace) + (f"?labelSelector={of.labels}" if of.labels else ""))
        theirs = {"StatefulSet"} if of.kind == "ControllerRevision" else set()
        return [each for each in found if not theirs & {owner["kind"] for owner in each["metadata"].get("ownerReferences", ())}]

    def names(self, kind: str) -> list[str]:
        of = next(each for each in (*REQUIRED, *OPTIONAL) if each.kind == kind)
        return sorted(each["metadata"]["name"] for each in self.all(of))

    def condition(self, kind: str, name: str = "chat") -> dict[str, Any]:
        conditions = self.get(name).get("status", {}).get("conditions", ())
        return next((each for each in conditions if each["type"] == kind), {})

    def revision(self, name: str = "chat") -> str:
        """The one that traffic goes to."""
        return str(self.get(name)["status"]["activeRevision"])

    def settled(self, name: str = "chat") -> bool:
        """The newest spec is what serves, all of it, and nothing older is left."""
        model = self.get(name)
        status = model.get("status", {})
        statefulsets = [
            each for each in self.all(resource("apps/v1", "StatefulSet")) if each["metadata"]["labels"]["allod.dev/model"] == name
        ]
        return bool(
            status.get("observedGeneration") == model["metadata"]["generation"]
            and status.get("activeRevision") == status.get("desiredRevision")
            and len(statefulsets) == 1
            and statefulsets[0]["spec"]["replicas"] == model["spec"]["replicas"]
            and statefulsets[0]["status"].get("readyReplicas", 0) == model["spec"]["replicas"]
            and status.get("readyReplicas", 0) == model["spec"]["replicas"]
        )

    def wait_settled(self, name: str = "chat", seconds: float = 60) -> None:
        self.until(f"{name} serves its newest spec", lambda: self.settled(name), seconds)

    def until(self, what: str, true: Any, seconds: float = 30) -> None:
        """Wait, and say what the model said when it does not come."""
        try:
            waiting.until(what, true, seconds=seconds)
        except Exception as late:
            late.add_note(json.dumps([each.get("status") for each in self.all(MODELDEPLOYMENTS)], indent=1))
            raise

    def owned(self) -> list[str]:
        """Everything of ours in the namespace, as KIND NAME."""
        return [f"{each.kind} {name}" for each in (*CHILDREN, resource("v1", "Pod")) for name in self.names(each.kind)]

    def clear(self) -> None:
        """Delete everything, and wait for nothing."""
        self.plane.kubectl("delete", "namespace", self.namespace, "--wait=false")
