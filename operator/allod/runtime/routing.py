"""Which ModelDeployments must be looked at when an object changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.adapters.resources import MODELDEPLOYMENTS, STATEFULSETS
from allod.domain.manifest import Ref, ref
from allod.domain.names import MODEL
from allod.reconcile.observe import leans_on, served_names

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


def _concerned(world: World, manifest: Manifest) -> Iterator[Ref]:
    namespace = manifest["metadata"].get("namespace", "")
    if manifest["kind"] == MODELDEPLOYMENTS.kind:
        yield ref(manifest)
        yield from _rivals(world, manifest)
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
    for other in world.all(MODELDEPLOYMENTS.api_version, MODELDEPLOYMENTS.kind, namespace):
        if standby in leans_on(other):
            yield ref(other)


def _rivals(world: World, manifest: Manifest) -> Iterator[Ref]:
    """Other models of the namespace that claim one of its names: whether they may keep it can change with it."""
    names = served_names(manifest)
    for other in world.all(MODELDEPLOYMENTS.api_version, MODELDEPLOYMENTS.kind, manifest["metadata"]["namespace"]):
        if ref(other) != ref(manifest) and names & served_names(other):
            yield ref(other)
