"""Whether a child is as it should be. A no-op apply costs the API server nearly as much as a write, so it is asked here first."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from allod.domain.names import APPLIED

if TYPE_CHECKING:
    from allod.domain.manifest import Manifest


def stamped(wanted: Manifest) -> Manifest:
    """The manifest with the hash of itself as annotation: a field that we no longer send changes the hash."""
    text = json.dumps(wanted, sort_keys=True, separators=(",", ":"))
    meta = wanted["metadata"]
    annotations = {**(meta.get("annotations") or {}), APPLIED: hashlib.sha256(text.encode()).hexdigest()}
    return {**wanted, "metadata": {**meta, "annotations": annotations}}


def claimed(wanted: Any, live: Any) -> Any:
    """The part of `live` that `wanted` speaks of: its keys, and in lists of equal length item by item. Equal to `wanted` if all is well.

    A list of another length is taken whole: somebody added or removed an item.
    """
    if isinstance(wanted, dict) and isinstance(live, dict):
        return {key: claimed(value, live[key]) for key, value in wanted.items() if key in live}
    if isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        return [claimed(one, other) for one, other in zip(wanted, live, strict=True)]
    return live
