"""Whether a child is as it should be. A no-op apply costs the API server nearly as much as a write, so it is asked here first."""

from __future__ import annotations

from typing import Any

WHOLE = frozenset({"selector", "podSelector", "matchLabels", "nodeSelector"})
"""Maps in which a key too many is as wrong as one too few: it selects other pods, or none. For Kubernetes they are one value each."""


def claimed(wanted: Any, live: Any) -> Any:
    """The part of `live` that `wanted` speaks of: its keys, and in lists of equal length item by item. Equal to `wanted` if all is well.

    A list of another length is taken whole: somebody added or removed an item. A field that is sent no longer shows by the annotation
    `allod.dev/applied`, the hash of what is sent, which is part of what is wanted.
    """
    if isinstance(wanted, dict) and isinstance(live, dict):
        return {key: live[key] if key in WHOLE else claimed(value, live[key]) for key, value in wanted.items() if key in live}
    if isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        return [claimed(one, other) for one, other in zip(wanted, live, strict=True)]
    return live


def crowded(wanted: Any, live: Any) -> bool:
    """Whether a list that we give whole has other items than ours: a second port, another container."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        return any(crowded(value, live[key]) for key, value in wanted.items() if key in live)
    if isinstance(wanted, list) and isinstance(live, list):
        return len(wanted) != len(live) or any(crowded(one, other) for one, other in zip(wanted, live, strict=True))
    return False
