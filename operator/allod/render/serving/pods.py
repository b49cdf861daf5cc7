"""The pods of one revision: what both engines share, and the user's own changes last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allod.domain.names import HTTP_PORT, MANAGED_BY, MODEL, REVISION, TRAFFIC
from allod.domain.serving.engine.images import engine_image
from allod.domain.serving.pod import ENGINE, GATHER
from allod.render.merge import merge
from allod.render.serving import llamacpp, vllm
from allod.render.serving.inspect import inspect
from allod.render.serving.security import CONTAINER, POD
from allod.render.serving.sources import Source, source

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment, ModelDeploymentSpec
    from allod.domain.manifest import Manifest
    from allod.domain.serving.seen import Defaults

TOPOLOGY = {"Zone": "topology.kubernetes.io/zone", "Node": "kubernetes.io/hostname"}
QUEUE = "kueue.x-k8s.io/queue-name"


def pod_template(model: ModelDeployment, revision: str, defaults: Defaults) -> Manifest:
    """Template of the StatefulSet. Labels by which Services and policies find the pods cannot be changed by podTemplate."""
    spec, users = model.spec, model.spec.pod_template
    found = labels(model, revision)
    queue = {QUEUE: spec.scheduling.queue_name} if spec.scheduling.queue_name else {}
    metadata = {"labels": queue | users.metadata.labels | found}
    annotations = {"annotations": dict(users.metadata.annotations)} if users.metadata.annotations else {}
    return {"metadata": metadata | annotations, "spec": merge(_pod(model, revision, defaults), users.spec)}


def labels(model: ModelDeployment, revision: str) -> dict[str, str]:
    """Of the pods."""
    return {MANAGED_BY: "allod", MODEL: model.metadata.name, REVISION: revision, TRAFFIC: "on"}


def _pod(model: ModelDeployment, revision: str, defaults: Defaults) -> dict[str, Any]:
    spec, scheduling, found = model.spec, model.spec.scheduling, source(model.spec)
    vllms = spec.engine.type == "vLLM"
    own = vllm.volumes(model, revision) if vllms else llamacpp.volumes(spec)
    whole = {
        "initContainers": [*inspect(spec, found, defaults.inspect_image), *_gather(model, revision, defaults)],
        "containers": [_engine(model, revision, found, defaults)],
        "volumes": [*found.volumes, *own],
        "terminationGracePeriodSeconds": vllm.grace_seconds(spec) if vllms else llamacpp.grace_seconds(spec),
        "securityContext": POD,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,  # a Service named vllm would set VLLM_PORT=tcp://..., which vLLM refuses
        "imagePullSecrets": [{"name": secret.name} for secret in spec.engine.image_pull_secrets],
        "priorityClassName": scheduling.priority_class_name,
        "nodeSelector": dict(scheduling.node_selector),
        "tolerations": [toleration.document() for toleration in scheduling.tolerations],
        "affinity": scheduling.affinity.document() if scheduling.affinity else None,
        "topologySpreadConstraints": _spread(model, revision),
    }
    return {name: value for name, value in whole.items() if value is not None and value not in ([], {})}


def _gather(model: ModelDeployment, revision: str, defaults: Defaults) -> list[dict[str, Any]]:
    """Of a group that found only a part of its GPUs no pod starts its engine: it would wait for the others until a time-out ends it."""
    if model.spec.nodes == 1:
        return []
    return [
        {
            "name": GATHER,
            "image": engine_image(model.spec, defaults),
            **_pull(model.spec),
            "command": ["python3", vllm.RANK_PROGRAM, "gather"],
            "env": vllm.rank_env(model, revision),
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
            "securityContext": CONTAINER,
            "volumeMounts": [mount for mount in vllm.mounts(model) if mount["mountPath"] == vllm.WATCHDOG],
        }
    ]


def _pull(spec: ModelDeploymentSpec) -> dict[str, Any]:
    return {"imagePullPolicy": spec.engine.image_pull_policy} if spec.engine.image_pull_policy else {}


def _engine(model: ModelDeployment, revision: str, found: Source, defaults: Defaults) -> dict[str, Any]:
    spec = model.spec
    own: dict[str, Any]
    if spec.engine.type == "vLLM":
        own = {
            "command": vllm.command(spec),
            "args": vllm.args(model, found),
            "env": vllm.env(model, revision),
            **vllm.health(spec),
            "lifecycle": vllm.lifecycle(),
            "volumeMounts": [*found.mounts, *vllm.mounts(model)],
        }
    else:
        own = {
            "args": llamacpp.args(model, found),
            "env": llamacpp.env(model),
            **llamacpp.health(spec),
            "lifecycle": llamacpp.lifecycle(spec),
            "volumeMounts": [*found.mounts, *llamacpp.mounts(spec)],
        }
    return {
        "name": ENGINE,
        "image": engine_image(spec, defaults),
        **_pull(spec),
        **own,
        "ports": [{"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"}],
        "resources": _resources(spec),
        "securityContext": CONTAINER,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _resources(spec: ModelDeploymentSpec) -> dict[str, Any]:
    """Memory is a limit, CPU is not: an engine that may not use idle cores only answers later."""
    asked = spec.resources
    devices = {asked.gpu.resource_name: str(asked.gpu.count)} if asked.gpu else {}
    memory = {"memory": str(asked.memory)}
    cpu = {"cpu": str(asked.cpu)} if asked.cpu else {}
    return {"requests": cpu | memory | devices, "limits": memory | devices}


def _spread(model: ModelDeployment, revision: str) -> list[dict[str, Any]]:
    if model.spec.scheduling.topology_spread is None:
        return []
    return [
        {
            "maxSkew": 1,
            "topologyKey": TOPOLOGY[model.spec.scheduling.topology_spread],
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {MODEL: model.metadata.name, REVISION: revision}},
        }
    ]
