"""A replica as one thing, whether it is one pod or the pods of one engine that spans several: it serves as a whole or not at all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from allod.domain.names import RANK, REPLICA_GROUP, REVISION, child
from allod.domain.serving import pod as pods

if TYPE_CHECKING:
    from collections.abc import Sequence

    from allod.domain.manifest import Manifest
    from allod.domain.serving.revision import Revision
    from allod.domain.serving.seen import Seen


@dataclass(frozen=True, slots=True)
class Group:
    """The pods of one replica."""

    name: str
    """Of its StatefulSet; of its pod where that is alone."""
    size: int
    """Pods that it is to have."""
    pods: tuple[Manifest, ...]
    """Those that are not leaving, by rank."""
    leaving: tuple[Manifest, ...] = ()

    @property
    def leader(self) -> Manifest | None:
        """The pod that answers for all of them. None: there is none at present."""
        return next((pod for pod in self.pods if leads(pod)), None)

    @property
    def whole(self) -> bool:
        """Whether every pod is there."""
        return len(self.pods) == self.size


def leads(pod: Manifest) -> bool:
    """Whether a pod answers requests: the only one of its replica, or the first of several."""
    labels = pod["metadata"].get("labels") or {}
    return REPLICA_GROUP not in labels or labels.get(RANK) == "0"


def groups(seen: Seen, revision: Revision) -> tuple[Group, ...]:
    """The replicas of a revision of which there are pods, by number."""
    mine = [pod for pod in seen.pods if (pod["metadata"].get("labels") or {}).get(REVISION) == revision.hash]
    mine.sort(key=pods.name)
    if revision.nodes == 1:
        return tuple(_group(pods.name(pod), 1, [pod]) for pod in mine)
    numbers = sorted({_number(pod) for pod in mine})
    name = child(seen.model.metadata.name, revision.hash)
    return tuple(_group(f"{name}-g{number}", revision.nodes, [pod for pod in mine if _number(pod) == number]) for number in numbers)


def statefulsets(seen: Seen, revision: Revision) -> tuple[Manifest, ...]:
    """Those that run a revision: one, or one for each replica."""
    name = re.compile(re.escape(child(seen.model.metadata.name, revision.hash)) + ("" if revision.nodes == 1 else "-g[0-9]+"))
    return tuple(each for each in seen.children if each["kind"] == "StatefulSet" and name.fullmatch(each["metadata"]["name"]))


def asked(seen: Seen, revision: Revision) -> int | None:
    """Replicas that are asked for. None: nothing is there that would run the revision."""
    found = statefulsets(seen, revision)
    if not found:
        # No groups are no StatefulSets: that there is a revision of none its Service tells, as long as its pods may come back.
        return 0 if revision.nodes > 1 and _has_service(seen, revision) else None
    if revision.nodes == 1:
        return int(found[0]["spec"].get("replicas", 1))
    return sum("deletionTimestamp" not in each["metadata"] for each in found)


def _has_service(seen: Seen, revision: Revision) -> bool:
    name = child(seen.model.metadata.name, revision.hash)
    services = (each["metadata"] for each in seen.children if each["kind"] == "Service")
    return any(meta["name"] == name and "deletionTimestamp" not in meta for meta in services)


def _group(name: str, size: int, found: Sequence[Manifest]) -> Group:
    staying = tuple(pod for pod in found if not pods.is_leaving(pod))
    return Group(name, size, staying, tuple(pod for pod in found if pods.is_leaving(pod)))


def _number(pod: Manifest) -> int:
    label = (pod["metadata"].get("labels") or {}).get(REPLICA_GROUP, "")
    return int(label) if label.isdigit() else 0
