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

    Its name is made of model, generation, reason and sentence: the same step has one event, however often it is taken within the hour
    that Kubernetes keeps events. Of a sentence that is too long the beginning is kept.
    """
    meta = model["metadata"]
    what = "\n".join((meta["uid"], str(meta.get("generation", 0)), said.type, said.reason, said.message))
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name'][:200]}.{hashlib.sha256(what.encode()).hexdigest()[:16]}", "namespace": meta["namespace"]},
        "eventTime": _moment(now),
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


def again(told: Manifest, now: datetime) -> Manifest:
    """What changes of an event when the same happens once more: `kubectl describe` shows how often, and when last."""
    meta = told["metadata"]
    times = (told.get("series") or {}).get("count", 1) + 1
    return {
        "apiVersion": told["apiVersion"],
        "kind": told["kind"],
        "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
        "series": {"count": times, "lastObservedTime": _moment(now)},
    }


def _moment(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
