"""From the world as it is known to `Seen`: no request to anybody, so that a reconcile of an unchanged world costs nothing but CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.adapters.resources import MODELDEPLOYMENTS
from allod.api.modeldeployment import ModelDeployment
from allod.domain.names import MODEL
from allod.domain.serving.seen import Neighbour, Seen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allod.domain.manifest import Manifest
    from allod.domain.serving.seen import Defaults
    from allod.reconcile.world import Figures, Windows, World


def observe(world: World, figures: Figures, windows: Windows, model: Manifest, *, defaults: Defaults, apis: frozenset[str]) -> Seen:
    """Everything that a decision about this ModelDeployment may use.

    Raises pydantic's ValidationError when the object cannot be understood: it was stored under another version of the CRD.
    """
    uid = model["metadata"]["uid"]
    children = tuple(each for each in world.owned(uid) if each["kind"] != "Pod")
    statefulsets = [each for each in children if each["kind"] == "StatefulSet"]
    pods = tuple(_pods(world, model, {each["metadata"]["uid"] for each in statefulsets}))
    # Without its status: what an older operator wrote there must not make the object unreadable.
    read = ModelDeployment.model_validate({key: value for key, value in model.items() if key != "status"})
    return Seen(
        model=read,
        status=model.get("status") or {},
        children=children,
        pods=pods,
        defaults=defaults,
        neighbours=tuple(_neighbours(world, model)),
        apis=apis,
        figures=figures.of(pods),
        windows=windows.of(pods, read.spec.health.slos),
        events=tuple(each for one in statefulsets for each in world.owned(one["metadata"]["uid"]) if each["kind"] == "Event"),
    )


def served_names(model: Manifest) -> frozenset[str]:
    """The names under which a ModelDeployment answers, read from the document so that one we cannot understand counts too."""
    wanted = model.get("spec", {}).get("model") or {}
    return frozenset({wanted.get("servedName") or model["metadata"]["name"], *(wanted.get("aliases") or ())})


def _pods(world: World, model: Manifest, statefulsets: set[str]) -> Iterator[Manifest]:
    """Pods of its StatefulSets, and those that outlive their StatefulSet while they terminate: they still hold GPUs."""
    for uid in statefulsets:
        yield from (each for each in world.owned(uid) if each["kind"] == "Pod")
    for pod in world.all("v1", "Pod", model["metadata"]["namespace"]):
        meta = pod["metadata"]
        if "deletionTimestamp" in meta and (meta.get("labels") or {}).get(MODEL) == model["metadata"]["name"]:
            owners = {each["uid"] for each in meta.get("ownerReferences") or ()}
            if not owners & statefulsets:
                yield pod


def _neighbours(world: World, model: Manifest) -> Iterator[Neighbour]:
    for other in world.all(MODELDEPLOYMENTS.api_version, MODELDEPLOYMENTS.kind, model["metadata"]["namespace"]):
        meta = other["metadata"]
        if meta["uid"] != model["metadata"]["uid"]:
            yield Neighbour(meta["name"], served_names(other), meta["creationTimestamp"])
