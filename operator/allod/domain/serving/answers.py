"""The conditions of a ModelDeployment: each a question, answered by one small function."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from allod.domain.conditions import Condition
from allod.domain.quantity import count
from allod.domain.serving import former, weights, wishes
from allod.domain.serving import pod as pods
from allod.domain.serving.adapters import answers as adapteranswers
from allod.domain.serving.canary import canary, gateway
from allod.domain.serving.crossroads import ASLEEP, WAKING
from allod.domain.serving.engine import download
from allod.domain.serving.health import leaving
from allod.domain.serving.health.finding import CONCERNS, Finding
from allod.domain.serving.standby import answers as standbys
from allod.domain.serving.standby import drill as drills
from allod.domain.serving.standby.schedule import bad_schedule
from allod.domain.serving.standby.standby import hopeless

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allod.domain.serving.outcome import Outcome
    from allod.domain.serving.revisionfacts import RevisionFacts


BUDGET = frozenset({"Flapping", "WaitsForPerson"})
"""Why traffic stays on the standby until a person brings it back: it came back too often, or the spec wants it so."""


def conditions(outcome: Outcome) -> tuple[Condition, ...]:
    """Answer all of them."""
    return (
        ready(outcome),
        progressing(outcome),
        degraded(outcome),
        stalled(outcome),
        model_available(outcome),
        gpus_available(outcome),
        fits_memory(outcome),
        *(standbys.conditions(outcome) if outcome.found.standby or outcome.away else ()),
        *((route_accepted(outcome),) if outcome.seen.model.spec.rollout.canary.parent_ref else ()),
        *adapteranswers.conditions(outcome),
        *((outcome.seen.measurement.condition(),) if outcome.seen.measurement else ()),
    )


def ready(outcome: Outcome) -> Condition:
    """Does the model serve now? True as long as one pod of any revision does: that is the point of it."""
    active = outcome.active
    if outcome.away and outcome.standby_pods:
        pods_ = f"{count(outcome.standby_pods, 'pod')} of the standby {outcome.away.model}"
        serves = f"{pods_} {'serves' if outcome.standby_pods == 1 else 'serve'}"
        return Condition("Ready", "True", "StandbyServing", serves)
    if active and active.ready and not outcome.away:
        serves = f"{active.ready} of {outcome.wanted} {outcome.unit}s of revision {outcome.step.home} serve"
        return Condition("Ready", "True", "Serving", serves)
    return Condition("Ready", "False", *_not_ready(outcome))


def _not_ready(outcome: Outcome) -> tuple[str, str]:
    active, trouble = outcome.active, outcome.trouble
    if trouble:
        return trouble.reason, trouble.message
    if not outcome.wanted:
        return ASLEEP, "spec.replicas is 0"
    if outcome.waking:
        return WAKING, f"revision {outcome.step.home} starts again from no replicas"
    if active and active.proven:
        return "Unavailable", f"no {outcome.unit} of revision {outcome.step.home} serves at present"
    name = outcome.found.desired.hash
    if before := former.awaited(outcome.seen, name):
        return "Starting", f"revision {name} starts when {min(before.values())} has ended, which answers its last requests"
    return "Starting", f"revision {name} is starting" + (f": {awaits}" if (awaits := _awaits(outcome)) else "")


def progressing(outcome: Outcome) -> Condition:
    """Is the operator on its way to what the spec asks for?"""
    name, desired, trouble = outcome.found.desired.hash, outcome.desired, outcome.trouble
    if stopped := _stopped(outcome):
        return stopped
    if waits := outcome.held_up:
        return Condition("Progressing", "True", waits.reason, f"revision {name} waits until the standby can take over: {waits.message}")
    ready = desired.ready if desired else 0
    if not outcome.rolling and ready >= outcome.wanted and not outcome.away:
        return Condition("Progressing", "False", "Complete", f"revision {name} has {count(ready, f'ready {outcome.unit}')}")
    if outcome.course and not trouble and ready >= outcome.wanted:
        stands = canary.told(outcome.course, len(outcome.seen.model.spec.rollout.canary.steps))
        return Condition("Progressing", "True", "Canary", f"revision {name} is on trial, {stands}")
    reason = trouble.reason if trouble else "RollingOut" if outcome.rolling else "Starting"
    return Condition("Progressing", "True", reason, f"{ready} of {outcome.wanted} {outcome.unit}s of revision {name} are ready")


def _stopped(outcome: Outcome) -> Condition | None:
    """Why it is not on its way at all."""
    name, desired = outcome.found.desired.hash, outcome.desired
    if outcome.seen.model.spec.suspend:
        return Condition("Progressing", "False", "Suspended", "spec.suspend is true: the operator reports and changes nothing")
    if outcome.refused:
        return Condition("Progressing", "False", outcome.refused.reason, outcome.refused.message)
    if desired and desired.failed and desired.finding:
        return Condition("Progressing", "False", "RevisionFailed", f"revision {name} was given up: {desired.finding.message}")
    return None


def degraded(outcome: Outcome) -> Condition:
    """Is something wrong that a person should know of, whether the model serves or not?"""
    wrong = next(_wrong(outcome), None)
    if wrong:
        return Condition("Degraded", "True", wrong.reason, wrong.message)
    return Condition("Degraded", "False", "AsExpected", "nothing is known to be wrong")


def _wrong(outcome: Outcome) -> Iterator[Finding]:
    """What is, the most urgent first."""
    trouble, active, home = outcome.trouble, outcome.active, outcome.step.home
    unknown = wishes.unknown(outcome.seen, [*outcome.found.facts][::-1], home)
    # Who waits for a person tells first why the very wish that would end it is none.
    if trouble and not (unknown and wishes.RETURN in unknown and outcome.route.waits):
        yield replace(trouble, message=f"{trouble.message}; {unknown}") if unknown else trouble
    yield from (other for facts in (active, outcome.desired) if facts and (other := weights.changed(outcome.seen, facts)))
    if outcome.found.by_hand:
        instead = f"revision {outcome.found.desired.hash} runs in place of the spec, by the annotation {wishes.ROLLBACK}"
        yield Finding("RolledBackByHand", f"{instead}, until the spec changes")
    if active and active.proven and outcome.wanted and (not active.ready or any(pods.is_lost(pod) for pod in active.leaders)):
        yield Finding("PodsNotReady", f"{active.ready} of {outcome.wanted} {outcome.unit}s of revision {home} serve")
    if other := gateway.deaf(outcome.seen, outcome.now):
        yield other
    if unknown:
        yield Finding("UnknownRevision", unknown)
    if late := leaving.stuck(outcome.seen, outcome.now):
        yield late
    wished = drills.wish(outcome.seen)
    if wished and (bad := bad_schedule(wished)):
        yield bad


def stalled(outcome: Outcome) -> Condition:
    """Does the operator do nothing more by itself until a person acts?

    What waits for a cause to go is not stalled. Argo CD and Flux know this type by its name, as kstatus has it.
    """
    desired, waits, refused = outcome.desired, outcome.route.waits, outcome.refused
    if waits and waits.reason in BUDGET:
        return Condition("Stalled", "True", waits.reason, waits.message)
    if refused and refused.reason == "UnknownFlag":
        return Condition("Stalled", "True", refused.reason, f"no revision is made until the spec is corrected: {refused.message}")
    if (held_up := outcome.held_up) and hopeless(held_up):
        return Condition("Stalled", "True", held_up.reason, f"the rollout waits until the standby can take over: {held_up.message}")
    if desired and desired.failed and desired.finding:
        name = outcome.found.desired.hash
        todo = f"edit the spec, or set the annotation {wishes.RETRY} to {name}"
        return Condition("Stalled", "True", "RevisionFailed", f"revision {name} is not tried again by itself: {todo}")
    goes_on = "it goes on by itself when the cause is gone" if outcome.trouble else "nothing waits for a person"
    return Condition("Stalled", "False", "AsExpected", goes_on)


def route_accepted(outcome: Outcome) -> Condition:
    """Does the Gateway send by the weights of the HTTPRoute?"""
    if found := gateway.problem(outcome.seen) or gateway.deaf(outcome.seen, outcome.now):
        waits = found.reason in ("RouteNotMade", "RouteNotTaken", "RouteNotFollowed")
        return Condition("RouteAccepted", "Unknown" if waits else "False", found.reason, found.message)
    if not gateway.told_newest(outcome.seen):
        return Condition("RouteAccepted", "Unknown", "RouteNotFollowed", "the Gateway has not taken the changed HTTPRoute in yet")
    sends = ", ".join(f"{weight} percent to {name}" for name, weight in outcome.weights.items())
    return Condition("RouteAccepted", "True", "Accepted", f"the Gateway sends {sends}")


def model_available(outcome: Outcome) -> Condition:
    """Can the engine read the model's files?"""
    if found := _found("ModelAvailable", outcome.subject):
        return found
    subject = outcome.subject
    if subject and (subject.ready or subject.proven):
        return Condition("ModelAvailable", "True", "Loaded", "the engine has loaded the model")
    if subject and subject.inspection:
        return Condition("ModelAvailable", "True", "Inspected", "the model's files were found and read")
    return Condition("ModelAvailable", "Unknown", "NotReadYet", _awaits(outcome) or "nobody has read the model's files yet")


def gpus_available(outcome: Outcome) -> Condition:
    """Are the GPUs there that the pods reserve? Those of what serves on count too: the spec may want none any more."""
    if found := _found("GPUsAvailable", outcome.subject) or _found("GPUsAvailable", outcome.active):
        return found
    gpu = outcome.seen.model.spec.resources.gpu
    if gpu is None:
        return Condition("GPUsAvailable", "True", "NotNeeded", "the engine runs on CPUs")
    placed = sum(pods.is_placed(pod) for pod in outcome.subject.pods) if outcome.subject else 0
    wanted = outcome.wanted * outcome.seen.model.spec.nodes
    if placed < wanted:
        return Condition("GPUsAvailable", "Unknown", "NotScheduled", f"{placed} of {wanted} pods have a node")
    held = f"{placed * gpu.count} {gpu.resource_name}"
    return Condition("GPUsAvailable", "True", "Reserved", f"{held} reserved by {count(placed, 'pod')}")


def fits_memory(outcome: Outcome) -> Condition:
    """Does the model fit into the memory that is reserved for it?"""
    if found := _found("FitsMemory", outcome.subject):
        return found
    subject = outcome.subject
    figures = outcome.seen.figures.get(subject.revision.hash) if subject else None
    if figures:
        at_once = count(figures.max_concurrency, "request")
        room = f"the engine has room for {count(figures.kv_cache_tokens, 'token')}, {at_once} of full length"
        return Condition("FitsMemory", "True", "Measured", room)
    inspected = subject.inspection if subject else None
    if inspected:
        answer: Literal["True", "Unknown"] = "Unknown" if inspected.verdict == "Unknown" else "True"
        return Condition("FitsMemory", answer, inspected.reason, inspected.message)
    if subject and (subject.ready or subject.proven):
        return Condition("FitsMemory", "True", "Loaded", "the engine has loaded the model")
    return Condition("FitsMemory", "Unknown", "NotReckoned", "the model has not been read yet")


def _awaits(outcome: Outcome) -> str:
    """What an engine of the revision in question is about before it serves; empty while none runs, or where it is nothing special."""
    subject = outcome.subject
    engines = (pods.container(pod, pods.ENGINE) for pod in subject.pods) if subject else ()
    loads = any(engine.running and not engine.started for engine in engines if engine)
    return download.awaited(subject.revision.snapshot) if subject and loads else ""


def _found(kind: str, facts: RevisionFacts | None) -> Condition | None:
    """The finding that answers this very question."""
    finding = facts.finding if facts else None
    if finding is None or CONCERNS.get(finding.reason) != kind:
        return None
    return Condition(kind, "False", finding.reason, finding.message)
