"""From a decision to manifests: what to apply and in which order, and what is no longer wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.domain.manifest import Manifest, Ref, ref
from allod.domain.names import FIELD_MANAGER, MANAGED_BY, REVISION, child
from allod.domain.plan import Ending, Plan
from allod.domain.serving import former
from allod.domain.serving.groups.group import leads
from allod.domain.serving.groups.regroup import GRACE
from allod.render.metadata import finished
from allod.render.monitoring import podmonitor, prometheusrule
from allod.render.running import of_revisions
from allod.render.serving import adapters, httproute, vllm
from allod.render.serving.configmap import watchdog_configmap
from allod.render.serving.disruption import disruption_budget
from allod.render.serving.history import controller_revision
from allod.render.serving.networkpolicy import group_policy, network_policy, standby_policy
from allod.render.serving.services import peers_service, revision_service, stable_service
from allod.render.serving.statefulset import grouped, scaled, statefulset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allod.domain.serving.decision import Decision
    from allod.domain.serving.revision import Revision
    from allod.domain.serving.seen import Seen

KEPT = frozenset({"PodDisruptionBudget"})
"""Stays as long as the model does: it protects whatever pods come next, and harms nobody without any."""
LAST = ("StatefulSet", "Service", "ConfigMap")
"""Pods end before what they use; everything else goes after these."""


def plan(seen: Seen, decision: Decision) -> Plan:
    """Write the plan. Policies come before the pods that they protect, the traffic switch after the pods that it needs."""
    if decision.hands_off:
        return Plan(status=decision.status, events=decision.events, requeue_after=decision.requeue_after)
    objects = tuple(finished(seen.model, manifest) for manifest in _objects(seen, decision))
    return Plan(
        objects=objects,
        delete=_obsolete(seen, decision, objects),
        endings=tuple(_endings(decision)),
        marks=(*(turn.patch for turn in decision.turned), *_nudges(seen, decision)),
        status=decision.status,
        events=decision.events,
        requeue_after=decision.requeue_after,
    )


def _endings(decision: Decision) -> Iterator[Ending]:
    """Each pod once: who hangs is not waited for, as clients wait on it; ranks that wait for it have no client."""
    yield from (Ending(pod, 0 if leads(pod) else GRACE) for pod in decision.fence)
    yield from (Ending(pod, each.grace) for each in decision.regroups for pod in each.pods if pod not in decision.fence)


def _nudges(seen: Seen, decision: Decision) -> Iterator[Manifest]:
    listed = {revision.hash: adapters.ordered(seen.model, revision) for revision in decision.revisions}
    for pod in decision.behind:
        if (wanted := listed.get(pod["metadata"]["labels"][REVISION])) is not None:
            yield adapters.nudge(pod, wanted)


def _objects(seen: Seen, decision: Decision) -> Iterator[Manifest]:
    model = seen.model
    if decision.home is None and not decision.away:
        return
    runs = of_revisions((each for each in decision.revisions if each.hash in decision.allocation), model.spec)
    yield network_policy(model, seen.defaults, runs)
    yield disruption_budget(model)
    if standby := _standby(seen, decision):
        yield standby_policy(model, standby, seen.defaults)
    if decision.home is not None:  # else nobody remembers any revision, and the standby goes on answering
        for revision in decision.revisions:
            yield from _revision(seen, decision, revision)
    yield from _traffic(seen, decision, decision.home or "")
    if model.spec.monitoring.pod_monitor and podmonitor.API in seen.apis:
        yield podmonitor.pod_monitor(model, runs)
    if model.spec.monitoring.prometheus_rule and prometheusrule.API in seen.apis:
        yield prometheusrule.prometheus_rule(model, runs)


def _traffic(seen: Seen, decision: Decision, home: str) -> Iterator[Manifest]:
    """What clients come through."""
    model = seen.model
    spans = any(revision.hash == home and revision.nodes > 1 for revision in decision.revisions)
    yield stable_service(model, home, decision.away, grouped=spans)
    if model.spec.rollout.canary.parent_ref and httproute.API in seen.apis:
        services = frozenset(each["metadata"]["name"] for each in seen.children if each["kind"] == "Service")
        yield httproute.http_route(model, home, decision, services)


def _standby(seen: Seen, decision: Decision) -> str | None:
    """Whose pods the clients must reach: where traffic is, else where it may go."""
    if decision.away:
        return decision.away.model
    return seen.model.spec.standby.model_deployment_ref.name if seen.model.spec.standby else None


def _revision(seen: Seen, decision: Decision, revision: Revision) -> Iterator[Manifest]:
    """A revision without pods is only remembered."""
    kept = revision.statefulset or statefulset(seen.model, revision.hash, seen.defaults)
    yield controller_revision(seen.model, revision, kept)
    if revision.hash not in decision.allocation:
        return
    listed = adapters.ordered(seen.model, revision)
    keeps, asks = listed is not None, vllm.asks_hub(kept)
    configmap = watchdog_configmap(seen.model, revision.hash, keeps_adapters=keeps, nodes=revision.nodes, asks_hub=asks)
    if vllm.watched(kept) and ref(configmap) not in _there(seen):
        yield configmap
    if listed is not None:
        yield adapters.adapters_configmap(seen.model, revision.hash, listed)
    yield peers_service(seen.model, revision.hash)
    yield revision_service(seen.model, revision.hash, grouped=revision.nodes > 1)
    yield from _pods(seen, decision, revision, kept)


def _pods(seen: Seen, decision: Decision, revision: Revision, kept: Manifest) -> Iterator[Manifest]:
    """One StatefulSet of as many pods as replicas, or one for each replica: the lowest numbers stay."""
    replicas, awaited = decision.allocation[revision.hash], former.awaited(seen, revision.hash)
    if revision.nodes == 1:
        if kept["metadata"]["name"] not in awaited:
            yield scaled(kept, replicas)
        return
    for number in range(replicas):
        yield group_policy(seen.model, revision.hash, number)
        if (group := grouped(kept, number))["metadata"]["name"] not in awaited:
            yield group


def _obsolete(seen: Seen, decision: Decision, objects: tuple[Manifest, ...]) -> tuple[Ref, ...]:
    """Children of ours that nothing wants any more. What a person made and we merely own by reference is not ours to delete."""
    wanted = {ref(manifest) for manifest in objects}
    meta = seen.model.metadata
    # What their pods mount stays, whether this look had a reason to send it or not.
    mounted = (f"{child(meta.name, revision)}{what}" for revision in decision.allocation for what in ("", "-adapters"))
    unsent = {Ref("v1", "ConfigMap", meta.namespace, name) for name in mounted}
    ours = [each for each in seen.children if each["metadata"].get("labels", {}).get(MANAGED_BY) == FIELD_MANAGER]
    gone = {found for each in ours if (found := ref(each)).kind not in KEPT} - wanted - unsent - _policies_in_use(ours)
    return tuple(sorted(gone, key=_order))


def _policies_in_use(ours: list[Manifest]) -> set[Ref]:
    """Ranks that answer their last requests still need each other: a StatefulSet is there until its pods have gone."""
    groups = {each["metadata"]["name"] for each in ours if each["kind"] == "StatefulSet"}
    return {ref(each) for each in ours if each["kind"] == "NetworkPolicy" and each["metadata"]["name"] in groups}


def _there(seen: Seen) -> set[Ref]:
    return {ref(child) for child in seen.children}


def _order(gone: Ref) -> tuple[int, Ref]:
    return (LAST.index(gone.kind) if gone.kind in LAST else len(LAST), gone)
