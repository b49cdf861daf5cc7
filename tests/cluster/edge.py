"""A Gateway in the box, as a platform team installs one: Contour and Envoy in a namespace of their own, open to routes of all others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from box import waiting
from box.image import gateway
from box.progress import Progress

if TYPE_CHECKING:
    from box import Box

Manifest = dict[str, Any]

NAMESPACE = "projectcontour"
"""As in Contour's own manifests: what it may do is applied from there."""
NAME = "edge"
PARENT = {"name": NAME, "namespace": NAMESPACE}
URL = f"http://envoy.{NAMESPACE}"
LISTENS = 8080
"""Envoy's port for a listener at 80: Contour adds 8000, so that no right to low ports is needed."""
BOOTSTRAP = "/tmp/envoy.json"  # noqa: S108  # a volume of the pod's own
UNUSED = ("tlsroutes", "tcproutes", "backendtlspolicies")
"""Kinds that Contour would wait for, which are not in the standard channel of the Gateway API."""


def install(box: Box) -> None:
    """Returns when the Gateway is programmed and Envoy is ready."""
    for product in (gateway.IMAGE, gateway.DEFINITIONS):
        product.build(Progress())
    box.load([gateway.IMAGE.path])
    box.kubectl(
        "apply", "--server-side", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    )
    box.kubectl("apply", "--server-side", "-f", str(gateway.DEFINITIONS.path))
    waiting.until(
        "Gateways are served", lambda: "gateways" in box.kubectl("api-resources", "--api-group=gateway.networking.k8s.io"), seconds=30
    )
    listed = {"apiVersion": "v1", "kind": "List", "items": [*_cluster(), *_workload(), *_gateway()]}
    box.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(listed))
    box.kubectl("-n", NAMESPACE, "rollout", "status", "deployment/envoy", "--timeout=90s")
    box.kubectl("-n", NAMESPACE, "wait", "--for=condition=Programmed", f"gateway/{NAME}", "--timeout=60s")


def _cluster() -> list[Manifest]:
    subject = {"kind": "ServiceAccount", "name": "contour", "namespace": NAMESPACE}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "contour"}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "contour", "namespace": NAMESPACE}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "contour"},
            "roleRef": role,
            "subjects": [subject],
        },
    ]


def _workload() -> list[Manifest]:
    """One pod of both, which speak over loopback: no certificates between them."""
    config = {"gateway": {"gatewayRef": {"namespace": NAMESPACE, "name": NAME}}}
    labels = {"app": "envoy"}
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "contour", "namespace": NAMESPACE},
            "data": {"contour.json": json.dumps(config)},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "envoy", "namespace": NAMESPACE},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": _pod()}},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "envoy", "namespace": NAMESPACE},
            "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": LISTENS}]},
        },
    ]


def _pod() -> Manifest:
    xds = ["--xds-address=127.0.0.1", "--xds-port=8001"]
    contour = ["serve", "--incluster", *xds, "--insecure", "--config-path=/config/contour.json", "--disable-leader-election"]
    contour += [f"--disable-feature={kind}" for kind in UNUSED]
    envoy = [
        "--config-path",
        BOOTSTRAP,
        "--service-cluster",
        NAME,
        "--service-node",
        "envoy",
        "--concurrency",
        "1",
        "--log-level",
        "warning",
    ]
    mounts = [{"name": "tmp", "mountPath": "/tmp"}, {"name": "config", "mountPath": "/config"}]  # noqa: S108  # a volume of the pod's own

    def container(name: str, program: str, args: list[str], **more: Any) -> Manifest:
        return {"name": name, "image": gateway.IMAGE_NAME, "command": [f"/usr/bin/{program}"], "args": args, "volumeMounts": mounts, **more}

    ready = {"httpGet": {"path": "/ready", "port": 8002}, "periodSeconds": 1}
    return {
        "serviceAccountName": "contour",
        "terminationGracePeriodSeconds": 1,
        "initContainers": [container("bootstrap", "contour", ["bootstrap", BOOTSTRAP, "--admin-address=/tmp/admin.sock", *xds])],
        "containers": [
            container("contour", "contour", contour, env=[{"name": "CONTOUR_NAMESPACE", "value": NAMESPACE}]),
            container("envoy", "envoy", envoy, readinessProbe=ready),
        ],
        "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "config", "configMap": {"name": "contour"}}],
    }


def _gateway() -> list[Manifest]:
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    return [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": "contour"},
            "spec": {"controllerName": "projectcontour.io/gateway-controller"},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {"gatewayClassName": "contour", "listeners": [listener]},
        },
    ]
