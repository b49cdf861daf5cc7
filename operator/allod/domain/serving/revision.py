"""A revision: one exact way to run a model, and the ControllerRevision that remembers it.

Two specs make the same revision when their pods would be the same. What only changes how many pods there are, who may
reach them or who watches them is left out, and so is the operator's own version: an upgrade never restarts a model.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from allod.domain.names import REPLICA_GROUP
from allod.domain.serving.adapters.adapters import KEPT, remembered_room, room
from allod.domain.serving.pod import reserved

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from allod.api.modeldeployment import ModelDeploymentSpec
    from allod.domain.manifest import Manifest

NOT_THE_PODS = frozenset({"replicas", "monitoring", "networkPolicy", "suspend", "standby", "rollout"})
"""Fields of the spec that no pod is made of. A later field that changes no pod belongs here: else setting it restarts the model."""
NOT_THE_PROBES = frozenset({"failover", "page", "rollback", "slos"})
"""The same below `health`."""

NOT_AN_EDIT = frozenset({"replicas", "suspend"})
"""What is turned all the time, by autoscalers too: no reason to try again what failed."""

OF_A_REVISION = ("serviceName", "selector", "podManagementPolicy", "updateStrategy", "template")
"""What a StatefulSet has from its revision; the rest is how many pods there are, and defaults of Kubernetes."""

HASH_LENGTH = 8
SHOWN_CHANGES = 4
"""In the one sentence of an event; the whole snapshot stands in the ControllerRevision."""
SHOWN_VALUE = 48
PRIVATE = ("engine.env", "podTemplate")
"""Where a value may be a secret that someone wrote in the clear: an event names the field and not the value."""


@dataclass(frozen=True, slots=True)
class Revision:
    """What is run, and as what it was rendered when it was new."""

    hash: str
    """8 hex digits; the name of the revision in status, labels and names."""
    number: int
    """Counts up; the newest is the highest (`ControllerRevision.revision`)."""
    snapshot: Mapping[str, Any]
    """The part of the spec that pods are made of, as the user wrote it."""
    statefulset: Manifest | None = None
    """As rendered when the revision was made, with the default images of that day. None: it is still to be made."""

    @property
    def nodes(self) -> int:
        """Pods of one replica. A StatefulSet that is kept with a number of pods is that of one replica."""
        if self.statefulset is not None:
            return int(self.statefulset["spec"].get("replicas", 1))
        return int(self.snapshot.get("nodes", 1))

    @property
    def on_gpus(self) -> bool:
        """Whether its pods reserve any. Where nobody remembers its spec its template tells."""
        if self.snapshot or self.statefulset is None:
            return bool((self.snapshot.get("resources") or {}).get("gpu"))
        return bool(reserved(self.statefulset["spec"]["template"]))


def canonical(document: Any) -> bytes:
    """One spelling for equal JSON documents: keys sorted, no spaces, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(document: Any) -> str:
    """sha256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical(document)).hexdigest()


def snapshot(spec: ModelDeploymentSpec) -> dict[str, Any]:
    """What the pods need of a spec."""
    document = spec.document()
    written = document.get("health") or {}
    health = {field: value for field, value in written.items() if field not in NOT_THE_PROBES}
    # To write health.failover alone is no change of the pods: what is left is as if nobody had written health.
    without = NOT_THE_PODS if health or not written else NOT_THE_PODS | {"health"}
    # One pod is what there was before a replica could have several: to write it down is no change.
    without |= {"nodes"} if spec.nodes == 1 else set()
    taken = {field: value for field, value in document.items() if field not in (*without, KEPT)}
    space = room(spec.adapters)
    return taken | ({"health": health} if health else {}) | ({KEPT: space.document()} if space else {})


def edition(spec: ModelDeploymentSpec) -> str:
    """Hash of what a person asks for: it changes when the spec is edited in earnest.

    A list of adapters is no such edit: one that needs other pods makes another revision, which is tried for its own sake.
    """
    return hash_of({field: value for field, value in spec.document().items() if field not in (*NOT_AN_EDIT, KEPT)})


def hash_of(taken: Mapping[str, Any]) -> str:
    """8 hex digits: the name of the revision that a snapshot makes."""
    return digest(taken)[:HASH_LENGTH]


def wanted_hash(taken: Mapping[str, Any], *serving: Revision | None) -> str:
    """Name of the revision that a snapshot asks for: the first of those that serve that differs by nothing but more room for adapters.

    So an adapter that goes, the last one included, restarts nothing. The room that is left is given back with the next new revision.
    """
    needed = remembered_room(taken)
    for each in serving:
        if each is not None and _bare(each.snapshot) == _bare(taken):
            kept = remembered_room(each.snapshot)
            if kept == needed or (kept is not None and kept.covers(needed)):
                return each.hash
    return hash_of(taken)


def _bare(taken: Mapping[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in taken.items() if field != KEPT}


def remembered(children: Iterable[Manifest]) -> tuple[Revision, ...]:
    """The revisions that the cluster remembers, oldest first. One whose ControllerRevision was deleted is read from what runs."""
    there = [child for child in children if "deletionTimestamp" not in child["metadata"]]
    found = {each.hash: each for each in (_rebuilt(child) for child in there if child["kind"] == "StatefulSet")}
    found |= {each.hash: each for each in (_read(child) for child in children if child["kind"] == "ControllerRevision")}
    return tuple(sorted(found.values(), key=lambda revision: (revision.number, revision.hash)))


def _read(controller_revision: Manifest) -> Revision:
    data = controller_revision.get("data", {})
    return Revision(
        hash=controller_revision["metadata"]["name"].rpartition("-")[2],
        number=controller_revision.get("revision", 0),
        snapshot=data.get("spec", {}),
        statefulset=data.get("statefulset"),
    )


def _rebuilt(statefulset: Manifest) -> Revision:
    """Which spec it was made of, nobody knows any more: only what runs."""
    meta, spec = statefulset["metadata"], statefulset["spec"]
    kept = {
        "apiVersion": statefulset["apiVersion"],
        "kind": "StatefulSet",
        "metadata": {field: meta[field] for field in ("name", "namespace", "labels")},
        "spec": {field: spec[field] for field in OF_A_REVISION},
    }
    if REPLICA_GROUP in meta["labels"]:
        kept = _ungrouped(kept, spec["replicas"])
    return Revision(hash=kept["metadata"]["name"].rpartition("-")[2], number=0, snapshot={}, statefulset=kept)


def _ungrouped(one: Manifest, replicas: int) -> Manifest:
    """From the StatefulSet of one replica to what all of them are made of."""
    meta, spec = one["metadata"], one["spec"]
    template, pods = spec["template"], spec["template"]["metadata"]
    return one | {
        "metadata": meta | {"name": meta["name"].rpartition("-")[0], "labels": _without_group(meta["labels"])},
        "spec": {"replicas": replicas}
        | spec
        | {
            "selector": {"matchLabels": _without_group(spec["selector"]["matchLabels"])},
            "template": template | {"metadata": pods | {"labels": _without_group(pods["labels"])}},
        },
    }


def _without_group(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name != REPLICA_GROUP}


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What a person changed, as one phrase: `engine.maxModelLen 16384 -> 32768, model.revision none -> 1df8507`."""
    before, after = _leaves(old), _leaves(new)
    different = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    phrases = list(dict.fromkeys(_change(path, before.get(path), after.get(path)) for path in different))
    more = len(phrases) - SHOWN_CHANGES
    return ", ".join(phrases[:SHOWN_CHANGES]) + (f", and {more} more" if more > 0 else "")


def _change(path: str, before: Any, after: Any) -> str:
    for private in PRIVATE:
        if path == private or path.startswith((f"{private}.", f"{private}[")):
            return f"{private} changed"
    return f"{path} {_shown(before)} -> {_shown(after)}"


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_VALUE else f"{text[: SHOWN_VALUE - 3]}..."


def _leaves(document: Any, path: str = "") -> dict[str, Any]:
    if isinstance(document, dict) and (document or not path):
        return {key: leaf for name, value in document.items() for key, leaf in _leaves(value, f"{path}.{name}" if path else name).items()}
    return {path: document}
