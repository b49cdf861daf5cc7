"""What ModelDeployments say of names, read from the documents so that one we cannot understand counts too, and whom that concerns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.adapters.resources import CONTROLLERREVISIONS, MODELDEPLOYMENTS
from allod.domain.manifest import Ref, ref
from allod.domain.names import MODEL, child
from allod.domain.serving.claim import Claim, Held, held, served_names, standby_of
from allod.domain.serving.seen import Neighbour

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from allod.domain.manifest import Manifest
    from allod.reconcile.world import World


def claim(world: World, model: Manifest) -> Claim:
    """What a ModelDeployment says of names."""
    meta, status = model["metadata"], model.get("status") or {}
    name, asks = meta["name"], model.get("spec") or {}
    # A ControllerRevision that somebody deleted is written again: until then its spec is the best guess.
    holds = held(name, status, snapshot(world, meta["namespace"], name, status.get("activeRevision")) or asks)
    return Claim(name, meta["creationTimestamp"], served_names(name, asks), holds, standby_of(asks), _traffic(model))


def snapshot(world: World, namespace: str, model: str, revision: str | None) -> Manifest | None:
    """The spec that a revision was made of. None: nobody remembers."""
    of = CONTROLLERREVISIONS
    kept = world.get(Ref(of.api_version, of.kind, namespace, child(model, revision))) if revision else None
    spec: Manifest | None = kept["data"].get("spec") if kept else None
    return spec


def leans_on(model: Manifest) -> frozenset[str]:
    """Names of the ModelDeployments that answer for this one, or could: the standby of the spec, and who has the traffic."""
    return frozenset({name for name in (standby_of(model.get("spec") or {}), _traffic(model)) if name})


def names_in(manifest: Manifest) -> frozenset[str]:
    """Names by which an object's model is found: those it serves, or did by a remembered revision, and who answers for it."""
    if manifest["kind"] == MODELDEPLOYMENTS.kind:
        return _served(manifest) | leans_on(manifest)
    return _served(manifest) if manifest["kind"] == CONTROLLERREVISIONS.kind else frozenset()


def neighbours(world: World, model: Manifest, begun: Container[Ref]) -> Iterator[Neighbour]:
    """Other models of the namespace that ask for one of its names, held one, or have it as a standby. `begun`: let start a moment ago."""
    meta = model["metadata"]
    remembered = (each for each in world.owned(meta["uid"]) if each["kind"] == CONTROLLERREVISIONS.kind)
    mine = frozenset({meta["name"]}).union(_served(model), *map(_served, remembered))
    for other in world.naming(meta["namespace"], mine):
        if other["metadata"]["uid"] != meta["uid"]:
            told = claim(world, other)
            needs = bool(((other.get("status") or {}).get("standby") or {}).get("needed"))
            holds = Held(told.asks) if not told.held.names and ref(other) in begun else told.held
            yield Neighbour(told.name, told.created, told.asks, holds, told.standby, told.traffic, needs)


def _served(manifest: Manifest) -> frozenset[str]:
    """By the spec of a model, or by that which a ControllerRevision keeps."""
    if manifest["kind"] == MODELDEPLOYMENTS.kind:
        return served_names(manifest["metadata"]["name"], manifest.get("spec") or {})
    name = (manifest["metadata"].get("labels") or {}).get(MODEL, "")
    return served_names(name, (manifest.get("data") or {}).get("spec") or {})


def _traffic(model: Manifest) -> str | None:
    traffic = (model.get("status") or {}).get("traffic") or {}
    name: str | None = traffic.get("name") if traffic.get("target") == "Standby" else None
    return name
