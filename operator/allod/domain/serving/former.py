"""Pods of a model that was deleted and applied again: they answer their last requests, and hold their names and GPUs until then.

A StatefulSet that is made meanwhile cannot make its own, and tries again with ever longer pauses: a model whose pods had ended after 40 s
was seen to start after 84 s. So it is made when they are gone, of which an event tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.domain.names import REVISION
from allod.domain.serving import pod as pods

if TYPE_CHECKING:
    from allod.domain.serving.seen import Seen


def awaited(seen: Seen, revision: str) -> dict[str, str]:
    """Names of pods that end, by the StatefulSet of this revision that has to wait for them; one pod of each."""
    there = {each["metadata"]["name"] for each in seen.children if each["kind"] == "StatefulSet"}
    ending = [pods.name(pod) for pod in seen.former if pod["metadata"]["labels"].get(REVISION) == revision]
    return {of: name for name in sorted(ending, reverse=True) if (of := name.rpartition("-")[0]) not in there}
