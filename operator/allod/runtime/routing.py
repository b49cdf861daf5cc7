"""Which ModelDeployments must be looked at when an object changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.adapters.resources import MODELDEPLOYMENTS, STATEFULSETS
from allod.domain.manifest import Ref, ref
from allod.domain.names import MODEL
from allod.domain.serving.claim import served_names
from allod.reconcile.claims import claim, leans_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allod.domain.manifest import Manifest
    from allod.reconcile.world import World


def model_ref(namespace: str, name: str) -> Ref:
    """Identity of a ModelDeployment."""
    return Ref(MODELDEPLOYMENTS.api_version, MODELDEPLOYMENTS.kind, namespace, name)


def concerned(world: World, old: Manifest | None, new: Manifest | None) -> set[Ref]:
    """The models to look at. `old` and `new` are one object before and after; None: there was, or is, none."""
    return {each for manifest in (old, new) if manifest is not None for each in _concerned(world, manifest)}


def told(world: World, old: Manifest | None, new: Manifest | None) -> set[Ref]:
    """The other models to look at after an own write: what a model came to be, or no longer is, is news for its pair and its rivals."""
    seen = [manifest for manifest in (old, new) if manifest is not None]
    return {each for manifest in seen for each in (*companions(world, manifest), *rivals(world, manifest))}


def _concerned(world: World, manifest: Manifest) -> Iterator[Ref]:
    namespace = manifest["metadata"].get("namespace", "")
    if manifest["kind"] == MODELDEPLOYMENTS.kind:
        yield ref(manifest)
        yield from rivals(world, manifest)
        yield from companions(world, manifest)
    elif "involvedObject" in manifest:
        about = manifest["involvedObject"]
        statefulset = world.get(Ref(STATEFULSETS.api_version, STATEFULSETS.kind, about.get("namespace", ""), about.get("name", "")))
        if statefulset is not None:
            yield from _concerned(world, statefulset)
    elif name := (manifest["metadata"].get("labels") or {}).get(MODEL):
        yield model_ref(namespace, name)
        yield from companions(world, manifest)


def companions(world: World, manifest: Manifest) -> Iterator[Ref]:
    """Other models that decide by this object: those whose standby the model is, and its own standby, which may have to wake for it."""
    meta = manifest["metadata"]
    if manifest["kind"] == MODELDEPLOYMENTS.kind:
        yield from _primaries(world, meta["namespace"], meta["name"])
        yield from (model_ref(meta["namespace"], name) for name in leans_on(manifest))
    elif manifest["kind"] in ("Pod", "Service") and (name := (meta.get("labels") or {}).get(MODEL)):
        yield from _primaries(world, meta["namespace"], name)


def _primaries(world: World, namespace: str, standby: str) -> Iterator[Ref]:
    """Models for which this one answers, or could."""
    for other in world.naming(namespace, (standby,)):
        if standby in leans_on(other):
            yield ref(other)


def rivals(world: World, manifest: Manifest) -> Iterator[Ref]:
    """Other models of the namespace that ask for one of this model's names: whether they may have it can change with it."""
    if manifest["kind"] != MODELDEPLOYMENTS.kind:
        return
    meta, names = manifest["metadata"], claim(world, manifest).names
    for other in world.naming(meta["namespace"], names):
        name = other["metadata"]["name"]
        if name != meta["name"] and names & served_names(name, other.get("spec") or {}):
            yield ref(other)
