"""Names and labels that are written in more than one place. Changing one of these orphans what runs: they are API."""

from __future__ import annotations

GROUP = "allod.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

FIELD_MANAGER = "allod"
"""Of every server-side apply, for ever: a second name would make a second owner of our own fields."""

MANAGED_BY = "app.kubernetes.io/managed-by"
MODEL = "allod.dev/model"
REVISION = "allod.dev/revision"
TRAFFIC = "allod.dev/traffic"
"""`on` from the pod template; the operator may turn one pod `off` to take it out of every Service."""
REPLICA_GROUP = "allod.dev/group"
"""Which replica a pod belongs to, where a replica has several: counts from 0."""
RANK = "apps.kubernetes.io/pod-index"
"""Kubernetes' own label on the pods of a StatefulSet: the rank of a pod in its group. Rank 0 answers for all."""
STANDS_IN = "allod.dev/stands-in-for"
"""Annotation on the stable Service while it points at the standby: why it does. It comes with the very write that moves traffic, so no lost
status makes one reason out of the other."""
ADAPTERS = "allod.dev/adapters"
"""Annotation on a pod: which list of adapters its kubelet was told to fetch."""
APPLIED = "allod.dev/applied"
"""Annotation on each child: sha256 of what we applied, so that a field that we no longer send is noticed too."""

HTTP_PORT = 8000
"""Engines listen here and Services offer it: vLLM's own default, so that a user's client needs no second number."""


def child(model: str, revision: str) -> str:
    """Name of the StatefulSet, ConfigMap, ControllerRevision and Service of one revision."""
    return f"{model}-{revision}"


def group(model: str, revision: str, number: int) -> str:
    """Name of the StatefulSet of one replica that has several pods."""
    return f"{child(model, revision)}-g{number}"


def peers(model: str, revision: str) -> str:
    """Name of the headless Service that gives the pods of one revision their DNS names."""
    return f"{model}-{revision}-peers"
