"""A namespace for one test, and Pods that look at the cluster from inside."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from box import Box, busybox, waiting

Manifest = dict[str, Any]

Kind = Literal["mdl", "pod", "pvc", "service", "endpointslice", "event", "lease", "prometheusrule", "statefulset"]
KINDS: dict[Kind, str] = {
    "mdl": "apis/allod.dev/v1alpha1/{namespace}/modeldeployments",
    "pod": "api/v1/{namespace}/pods",
    "pvc": "api/v1/{namespace}/persistentvolumeclaims",
    "service": "api/v1/{namespace}/services",
    "endpointslice": "apis/discovery.k8s.io/v1/{namespace}/endpointslices",
    "event": "apis/events.k8s.io/v1/{namespace}/events",
    "statefulset": "apis/apps/v1/{namespace}/statefulsets",
    "lease": "apis/coordination.k8s.io/v1/{namespace}/leases",
    "prometheusrule": "apis/monitoring.coreos.com/v1/{namespace}/prometheusrules",
}
"""What tests look at while they wait. kubectl takes 0.1 s of CPU for each look, which the engines on the same cores then lack."""


@dataclass(frozen=True)
class Space:
    """One namespace of the cluster."""

    box: Box
    name: str

    @classmethod
    def make(cls, box: Box, test: str) -> Space:
        """Named after the test, so that a person who looks knows whose it is."""
        made = cls(box, re.sub(r"[^a-z0-9]+", "-", test.removeprefix("test_").lower()).strip("-")[:63].strip("-"))
        box.kubectl("delete", "namespace", made.name, "--ignore-not-found", "--timeout=60s")  # of an earlier run
        box.kubectl("create", "namespace", made.name)
        accounts = f"/api/v1/namespaces/{made.name}/serviceaccounts"
        waiting.until("the namespace has its ServiceAccount", lambda: bool(box.plane.api.items(accounts)), seconds=20)
        return made

    def delete(self) -> None:
        """With all that is in it, in the background."""
        self.box.kubectl("delete", "namespace", self.name, "--wait=false")

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """kubectl in this namespace."""
        return self.box.kubectl("--namespace", self.name, *args, stdin=stdin)

    def apply(self, *manifests: Manifest) -> None:
        """Creates them, or changes them."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(listed))

    def get(self, kind: Kind, name: str) -> Manifest:
        """One object as it is now."""
        return self.box.plane.api.get(f"{self._path(kind)}/{name}")

    def listed(self, kind: Kind, **selectors: str) -> list[Manifest]:
        """Objects of a kind; `labels` and `fields` select."""
        query = urlencode({f"{by.removesuffix('s')}Selector": words for by, words in selectors.items()})
        return self.box.plane.api.items(f"{self._path(kind)}?{query}")

    def _path(self, kind: Kind) -> str:
        return f"/{KINDS[kind].format(namespace=f'namespaces/{self.name}')}"

    def wait(self, condition: str, *things: str, seconds: int = 30) -> None:
        """`wait("condition=Ready", "pod/a")`, as kubectl wait."""
        self.kubectl("wait", f"--for={condition}", f"--timeout={seconds}s", *things)

    def run(self, *pods: Manifest) -> None:
        """Creates Pods and returns when they are Ready."""
        self.apply(*pods)
        self.wait("condition=Ready", *(f"pod/{pod['metadata']['name']}" for pod in pods))

    def inside(self, pod: str, command: str) -> str:
        """What a shell command in that Pod printed."""
        return self.kubectl("exec", pod, "--", "sh", "-c", command)


def pod(name: str, script: str = "exec sleep 1000", *, labels: dict[str, str] | None = None, **spec: Any) -> Manifest:
    """A Pod that runs a shell script; keywords are fields of its spec, `container` those of its container."""
    container = {"name": "main", "image": busybox.NAME, "command": ["sh", "-c", script], **spec.pop("container", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name, **(labels or {})}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], **spec},
    }


def restricted(made: Manifest) -> Manifest:
    """The same Pod as Pod Security `restricted` wants it."""
    made["spec"] |= {"securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}}}
    for container in made["spec"]["containers"]:
        container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return made


def claim(name: str) -> Manifest:
    """A PersistentVolumeClaim, bound when a Pod that mounts it has its node."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def server(name: str, **spec: Any) -> Manifest:
    """A Pod that answers GET / with its own name on port 8000, which is called `http`."""
    script = f"mkdir -p /tmp/www && echo {name} > /tmp/www/index.html && exec httpd -f -p 8000 -h /tmp/www"
    return pod(name, script, container={"ports": [{"name": "http", "containerPort": 8000}]}, **spec)


def service(name: str, selects: str, **spec: Any) -> Manifest:
    """A Service on port 80 for the Pods with the label app=SELECTS."""
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": selects}, "ports": ports, **spec},
    }


def answers(space: Space, client: str, url: str) -> bool:
    """Whether that Pod gets an answer from the URL within a second."""
    said = space.inside(client, f"wget -q -T 1 -O - {url} 2>/dev/null || echo refused")
    return "refused" not in said
