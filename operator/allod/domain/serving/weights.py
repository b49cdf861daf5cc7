"""Whether a revision still runs the weights that it began with: who writes to a volume exchanges a model, and no spec says so.

What is compared is the fingerprint that the inspection in each new pod takes of the files (`cli/modelfiles.py`). The first one of a
revision stands in the status. It stays there until the files are as before, another revision takes over, or a person accepts the new ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.contracts.inspection import inspection
from allod.domain.serving import pod as pods
from allod.domain.serving.health.finding import Finding
from allod.domain.serving.survey import written

if TYPE_CHECKING:
    from allod.domain.serving.revisionfacts import RevisionFacts
    from allod.domain.serving.seen import Seen

ACCEPT = "allod.dev/accept-weights"
"""The annotation by which a person accepts a fingerprint."""
SHOWN = len("sha256:") + 12


def began_with(seen: Seen, facts: RevisionFacts) -> str | None:
    """Fingerprint that its first pod took, or that a person accepted since. None: no pod could take one."""
    read = list(_read(facts).values())
    accepted = seen.model.metadata.annotations.get(ACCEPT)
    if accepted in read:
        return accepted
    before: str | None = written(seen, facts.revision.hash).get("digest")
    return before or next(iter(read), None)


def changed(seen: Seen, facts: RevisionFacts) -> Finding | None:
    """A pod of it read other files."""
    first = began_with(seen, facts)
    for pod, digest in _read(facts).items():
        if first and digest != first:
            other = f"{pod} read other weights than revision {facts.revision.hash} began with: {digest[:SHOWN]} and not {first[:SHOWN]}"
            todo = f"put the old files back and delete the pod, or accept these with the annotation {ACCEPT}={digest}"
            return Finding("WeightsChanged", f"{other}; give new weights a path of their own in model.uri, {todo}")
    return None


def _read(facts: RevisionFacts) -> dict[str, str]:
    """Fingerprint by pod, in the order of their names."""
    found = {}
    for pod in sorted(facts.pods, key=pods.name):
        container = pods.container(pod, pods.INSPECT)
        read = inspection(container.ended.get("message", "")) if container else None
        if read and read.digest:
            found[pods.name(pod)] = read.digest
    return found
