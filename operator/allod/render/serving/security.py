"""The restricted Pod Security Standard, which every pod of ours meets."""

from __future__ import annotations

UID = 65532
"""Nobody on any node: distroless images call it nonroot. podTemplate can change it, for clusters that give out uids."""
POD = {
    "runAsNonRoot": True,
    "runAsUser": UID,
    "runAsGroup": UID,
    "fsGroup": UID,
    "fsGroupChangePolicy": "OnRootMismatch",  # a model has many files, and a change of each would take minutes
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
