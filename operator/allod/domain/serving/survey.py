"""The world of one model, sorted: which revisions there are, how each of them does, and where the Service points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from allod.contracts.inspection import Inspection, inspection
from allod.domain.conditions import timestamp
from allod.domain.names import REVISION, child
from allod.domain.serving import pod as pods
from allod.domain.serving.finding import Finding
from allod.domain.serving.findings import PREPARED, RevisionSeen, first_finding, prepared_since
from allod.domain.serving.revision import Revision, hash_of, remembered, snapshot
from allod.domain.serving.rollout import Standing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from allod.domain.manifest import Manifest
    from allod.domain.serving.seen import Seen


@dataclass(frozen=True, slots=True)
class RevisionFacts:
    """How one revision does."""

    revision: Revision
    asked: int | None
    """Pods that its StatefulSet asks for. None: it has no StatefulSet."""
    pods: tuple[Manifest, ...]
    """Those that are not leaving, by name."""
    leaving: int
    good_since: str | None
    """When all its pods were ready for the first time, RFC 3339. None: they never were."""
    finding: Finding | None
    """What is wrong with it, if anything."""
    failed: bool
    """Given up until the spec changes; `finding` says why."""

    @property
    def ready(self) -> int:
        """Pods that serve."""
        return sum(pods.is_ready(pod) for pod in self.pods)

    @property
    def inspection(self) -> Inspection | None:
        """What the inspection of its model said, if a pod got so far."""
        found = (pods.container(pod, pods.INSPECT) for pod in self.pods)
        read = (inspection(container.ended.get("message", "")) for container in found if container)
        return next((result for result in read if result), None)

    @property
    def standing(self) -> Standing:
        """What the rollout needs to know of it."""
        return Standing(self.asked or 0, self.ready, self.good_since is not None, self.failed)


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything that is there."""

    desired: Revision
    """What the spec asks for, remembered or new."""
    is_new: bool
    """Whether `desired` is not remembered yet."""
    facts: Mapping[str, RevisionFacts]
    """By hash, oldest first, of every remembered revision."""
    route: str | None
    """Where the stable Service points."""

    def look_again(self, now: datetime) -> timedelta | None:
        """When a pod that is being prepared will have been so for too long, by which no event tells. None: no pod is."""
        starts = [since for facts in self.facts.values() for pod in facts.pods if (since := prepared_since(pod))]
        waits = [since + PREPARED - now for since in starts if since + PREPARED > now]
        return min(waits, default=None)

    @property
    def newest(self) -> int:
        """Number of the newest revision; 0 without any."""
        return max((facts.revision.number for facts in self.facts.values()), default=0)


def survey(seen: Seen, now: datetime) -> Survey:
    """Sort what was seen."""
    known = remembered(seen.children)
    taken = snapshot(seen.model.spec)
    wanted = hash_of(taken)
    first_look = {revision.hash: _facts(seen, revision, wanted, now) for revision in known}
    facts = {name: replace(found, failed=_gives_up(found, first_look)) for name, found in first_look.items()}
    newest = max((revision.number for revision in known), default=0)
    desired = facts[wanted].revision if wanted in facts else Revision(wanted, newest + 1, taken)
    return Survey(desired, wanted not in facts, facts, _route(seen, facts))


def written(seen: Seen, revision: str) -> Mapping[str, Any]:
    """What the last status says of a revision; empty when it does not know it."""
    listed = seen.status.get("revisions") or []
    return next((found for found in listed if found.get("name") == revision), {})


def _facts(seen: Seen, revision: Revision, wanted: str, now: datetime) -> RevisionFacts:
    name = child(seen.model.metadata.name, revision.hash)
    statefulset = next((found for found in seen.children if found["kind"] == "StatefulSet" and found["metadata"]["name"] == name), None)
    mine = sorted((pod for pod in seen.pods if pod["metadata"].get("labels", {}).get(REVISION) == revision.hash), key=pods.name)
    staying = tuple(pod for pod in mine if not pods.is_leaving(pod))
    asked = statefulset["spec"].get("replicas", 1) if statefulset else None
    before = written(seen, revision.hash)
    ready = sum(pods.is_ready(pod) for pod in staying)
    good_since = before.get("goodSince") or (timestamp(now) if asked and ready >= asked else None)
    events = tuple(event for event in seen.events if _about(event) == name)
    given_up = _given_up_before(before) if revision.hash != wanted or _same_generation(seen) else None
    finding = given_up or first_finding(RevisionSeen(now, asked or 0, staying, good_since is not None, events, revision.snapshot))
    return RevisionFacts(revision, asked, staying, len(mine) - len(staying), good_since, finding, given_up is not None)


def _same_generation(seen: Seen) -> bool:
    """Whether the last status was about this very spec: any edit of it is a person's wish to try again."""
    return seen.status.get("observedGeneration") == seen.model.metadata.generation


def _given_up_before(before: Mapping[str, Any]) -> Finding | None:
    if before.get("state") != "Failed":
        return None
    return Finding(before.get("reason", "Failed"), before.get("message", "it failed before"), "Always")


def _gives_up(facts: RevisionFacts, everyone: Mapping[str, RevisionFacts]) -> bool:
    """Only what never served is given up: what did serve has no newer cause to blame, and may come back."""
    if facts.failed:
        return True
    if facts.finding is None or facts.finding.gives_up == "Never" or facts.good_since is not None:
        return False
    another_serves = any(other.ready for other in everyone.values() if other is not facts)
    return another_serves or (facts.finding.gives_up == "Always" and not facts.ready)


def _route(seen: Seen, facts: Mapping[str, RevisionFacts]) -> str | None:
    """What the Service says; where someone deleted it, what the status remembers; else what serves."""
    name = seen.model.metadata.name
    services = [child for child in seen.children if child["kind"] == "Service" and child["metadata"]["name"] == name]
    points_at = [(service["spec"].get("selector") or {}).get(REVISION) for service in services]
    serving = [revision for revision, found in facts.items() if found.ready][::-1]
    return next((revision for revision in [*points_at, seen.status.get("activeRevision"), *serving] if revision in facts), None)


def _about(event: Manifest) -> str:
    return str((event.get("regarding") or event.get("involvedObject") or {}).get("name", ""))
