"""From the world as it is known to `Seen`: no request to anybody, so that a reconcile of an unchanged world costs nothing but CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from allod.adapters.resources import MODELDEPLOYMENTS
from allod.api.modeldeployment import Model, ModelDeployment, ModelDeploymentSpec
from allod.domain.manifest import Ref
from allod.domain.names import MODEL, RANK, REVISION
from allod.domain.serving.canary.canary import rules
from allod.domain.serving.claim import served_names, standby_of
from allod.domain.serving.health.evidence import SILENT
from allod.domain.serving.seen import Companion, Seen
from allod.reconcile.claims import leans_on, neighbours, snapshot
from allod.reconcile.world import Pair

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from allod.domain.manifest import Manifest
    from allod.domain.serving.canary.contest import Duel
    from allod.domain.serving.seen import Defaults
    from allod.reconcile.world import Ears, Figures, Windows, World


TASK: str = Model.model_fields["task"].default
REPLICAS: int = ModelDeploymentSpec.model_fields["replicas"].default
"""What a field is that is not written. Of another model the document is read, so that one we cannot understand counts too."""


@dataclass(frozen=True, slots=True)
class Senses:
    """Where a look at a model looks."""

    world: World
    figures: Figures
    ears: Ears
    windows: Windows


def observe(
    senses: Senses, model: Manifest, *, defaults: Defaults, apis: frozenset[str], moved_lately: int = 0, begun: Container[Ref] = ()
) -> Seen:
    """Everything that a decision about this ModelDeployment may use. `begun`: models that were let start a moment ago.

    Raises pydantic's ValidationError when the object cannot be understood: it was stored under another version of the CRD.
    """
    world, uid = senses.world, model["metadata"]["uid"]
    children = tuple(each for each in world.owned(uid) if each["kind"] != "Pod")
    statefulsets = [each for each in children if each["kind"] == "StatefulSet"]
    others = _others(world, model, {each["metadata"]["uid"] for each in statefulsets})
    pods = tuple(_pods(world, statefulsets, others))
    companions = {name: there for name in sorted(leans_on(model)) if (there := _companion(world, model["metadata"]["namespace"], name))}
    beats = senses.ears.of((*pods, *(pod for each in companions.values() for pod in each.pods)))
    # Without its status: what an older operator wrote there must not make the object unreadable.
    read = ModelDeployment.model_validate({key: value for key, value in model.items() if key != "status"})
    return Seen(
        model=read,
        status=model.get("status") or {},
        children=children,
        pods=pods,
        former=tuple(_former(world, model, others)),
        defaults=defaults,
        neighbours=tuple(neighbours(world, model, begun)),
        apis=apis,
        figures=senses.figures.of(pods),
        beats=beats,
        # It goes over every pod of the cluster, so it is asked only where the answer matters.
        blind=senses.ears.blind() if any(beat.state in SILENT for beat in beats.values()) else "",
        companions=companions,
        moved_lately=moved_lately,
        windows=senses.windows.of(pods, read.spec.health.slos, rules(read.spec)),
        duel=_duel(senses, read, model.get("status") or {}),
        measurement=senses.windows.measurement(pods),
        events=tuple(each for one in statefulsets for each in world.owned(one["metadata"]["uid"]) if each["kind"] == "Event"),
    )


def _duel(senses: Senses, model: ModelDeployment, status: Manifest) -> Duel | None:
    """Of the two revisions that the last status tells of: who is on trial is decided after this look."""
    new, old = status.get("desiredRevision") or "", status.get("activeRevision") or ""
    compared = rules(model.spec) if new != old else ()
    meta, least = model.metadata, model.spec.rollout.canary.min_requests
    return senses.windows.duel(Pair(meta.namespace, meta.name, new, old, compared, least))


def _pods(world: World, statefulsets: list[Manifest], others: tuple[Manifest, ...]) -> Iterator[Manifest]:
    """Pods of its StatefulSets, and those that outlive their StatefulSet while they terminate: they still hold GPUs."""
    for one in statefulsets:
        yield from (each for each in world.owned(one["metadata"]["uid"]) if each["kind"] == "Pod")
    yield from (pod for pod in others if "deletionTimestamp" in pod["metadata"])


def _former(world: World, model: Manifest, others: tuple[Manifest, ...]) -> Iterator[Manifest]:
    """Those of a deleted model of this name: their StatefulSet is gone. They may not know it yet, and are older than this model then.

    The StatefulSet of a younger pod may be there and have lost the label by which we watch.
    """
    for pod in others:
        meta = pod["metadata"]
        of = next((each for each in meta.get("ownerReferences") or () if each["kind"] == "StatefulSet" and each.get("controller")), None)
        ends = "deletionTimestamp" in meta or meta["creationTimestamp"] < model["metadata"]["creationTimestamp"]
        if of and ends:
            there = world.get(Ref(of["apiVersion"], of["kind"], meta["namespace"], of["name"]))
            if there is None or there["metadata"]["uid"] != of["uid"]:
                yield pod


def _others(world: World, model: Manifest, statefulsets: set[str]) -> tuple[Manifest, ...]:
    """Pods that say they are this model's, and are of none of its StatefulSets."""
    meta = model["metadata"]
    return tuple(
        pod
        for pod in world.pods(meta["namespace"], meta["name"])
        if statefulsets.isdisjoint(each["uid"] for each in pod["metadata"].get("ownerReferences") or ())
    )


def _companion(world: World, namespace: str, name: str) -> Companion | None:
    there = world.get(Ref(MODELDEPLOYMENTS.api_version, MODELDEPLOYMENTS.kind, namespace, name))
    if there is None or "deletionTimestamp" in there["metadata"]:
        return None
    service = world.get(Ref("v1", "Service", namespace, there["metadata"]["name"]))
    selector = ((service or {}).get("spec") or {}).get("selector") or {}
    revision = selector.get(REVISION) if selector.get(MODEL) == name else None
    spec, made_of = there["spec"], snapshot(world, namespace, name, revision)
    return Companion(
        name=there["metadata"]["name"],
        served_names=served_names(there["metadata"]["name"], spec),
        task=spec.get("model", {}).get("task", TASK),
        replicas=spec.get("replicas", REPLICAS),
        suspended=bool(spec.get("suspend")),
        standby=standby_of(spec),
        revision=revision,
        pods=tuple(_pods_of(world, there, revision)) if revision else (),
        grouped=RANK in selector,
        known_names=served_names(name, made_of) if made_of else None,
    )


def _pods_of(world: World, model: Manifest, revision: str) -> Iterator[Manifest]:
    for owned in world.owned(model["metadata"]["uid"]):
        if owned["kind"] == "StatefulSet" and (owned["metadata"].get("labels") or {}).get(REVISION) == revision:
            yield from (each for each in world.owned(owned["metadata"]["uid"]) if each["kind"] == "Pod")
