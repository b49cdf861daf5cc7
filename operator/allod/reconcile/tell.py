"""Events as `kubectl describe` shows them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from allod.domain.manifest import Manifest
    from allod.domain.plan import Event

CONTROLLER = "allod.dev/operator"
LONGEST_NOTE = 1024
"""Bytes, by the API server's validation."""


def event(model: Manifest, said: Event, now: datetime, identity: str) -> Manifest:
    """One sentence about a model.

    Its name is made of model, generation, reason and sentence: the same step has one event, however often it is told within the hour
    that Kubernetes keeps events.
    """
    meta = model["metadata"]
    what = "\n".join((meta["uid"], str(meta.get("generation", 0)), said.type, said.reason, said.message))
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name'][:200]}.{hashlib.sha256(what.encode()).hexdigest()[:16]}", "namespace": meta["namespace"]},
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": CONTROLLER,
        "reportingInstance": identity[:128],
        "action": said.reason,
        "reason": said.reason,
        "type": said.type,
        "note": said.message.encode()[:LONGEST_NOTE].decode(errors="ignore"),
        "regarding": {
            "apiVersion": model["apiVersion"],
            "kind": model["kind"],
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
        },
    }
