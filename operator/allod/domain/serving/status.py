"""The whole status of a ModelDeployment, made anew each time: what is equal to the last one is not written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allod.domain import conditions
from allod.domain.conditions import timestamp
from allod.domain.names import HTTP_PORT, MODEL, RANK, REVISION
from allod.domain.quantity import memory_field
from allod.domain.serving import answers, weights, wishes
from allod.domain.serving import pod as pods
from allod.domain.serving.adapters import answers as adapteranswers
from allod.domain.serving.standby import drill as drills

if TYPE_CHECKING:
    from collections.abc import Mapping

    from allod.domain.manifest import Manifest
    from allod.domain.serving.outcome import Outcome
    from allod.domain.serving.revisionfacts import RevisionFacts
    from allod.domain.serving.story import Steps

HISTORY = 20
"""Steps that are kept: a few rollouts with their failures."""


def status(outcome: Outcome, steps: Steps) -> Manifest:
    """Everything below `status:`; fields without a value are left out."""
    seen, active, home = outcome.seen, outcome.active, outcome.step.home
    meta = seen.model.metadata
    ready = active.ready if active else 0
    whole = {
        "observedGeneration": meta.generation,
        "url": f"http://{meta.name}.{meta.namespace}.svc.{seen.defaults.cluster_domain}:{HTTP_PORT}/v1",
        "servedName": seen.model.served_name,
        "activeRevision": home,
        "desiredRevision": outcome.found.desired.hash,
        "traffic": _traffic(outcome),
        "canary": _canary(outcome),
        "standby": _standby(outcome),
        **_followed(outcome),
        "revisions": _revisions(outcome),
        "replicas": active.replicas if active else 0,
        "readyReplicas": ready,
        "ready": f"{ready}/{outcome.wanted}",
        "selector": _selector(outcome),
        "gpus": _gpus(outcome),
        "adapters": [each.document() for each in adapteranswers.answers(outcome)],
        "fit": _fit(outcome),
        "history": [*reversed(steps), *(seen.status.get("history") or [])][:HISTORY],
        "conditions": conditions.stamped(answers.conditions(outcome), seen.status.get("conditions") or [], meta.generation, outcome.now),
    }
    return {name: value for name, value in whole.items() if value is not None and value not in ([], {})}


def _selector(outcome: Outcome) -> str | None:
    """Pods that answer requests: one for each replica, as an autoscaler counts them."""
    active, home = outcome.active, outcome.step.home
    leads = f",{RANK}=0" if active and active.revision.nodes > 1 else ""
    return f"{MODEL}={outcome.seen.model.metadata.name},{REVISION}={home}{leads}" if home else None


def _traffic(outcome: Outcome) -> dict[str, Any] | None:
    home, before = outcome.step.home, outcome.seen.status.get("traffic") or {}
    if home is None:
        return None
    told = {"target": "Revision", "name": home}
    if outcome.away:
        told = {"target": "Standby", "name": outcome.away.model} | ({"reason": outcome.route.why} if outcome.route.why else {})
    same = all(before.get(key) == told[key] for key in ("target", "name"))
    since = before.get("since") if same else None
    weights = [{"name": name, "weight": weight} for name, weight in outcome.weights.items()]
    return told | {"since": since or timestamp(outcome.now)} | (_weighed(outcome, weights, before) if weights else {})


def _weighed(outcome: Outcome, weights: list[dict[str, Any]], before: Mapping[str, Any]) -> dict[str, Any]:
    since = before.get("weighedAt") if before.get("weights") == weights else None
    return {"weights": weights, "weighedAt": since or timestamp(outcome.now)}


def _canary(outcome: Outcome) -> dict[str, Any] | None:
    """Until it has arrived, or was given up."""
    if outcome.seen.model.spec.suspend:
        return outcome.seen.status.get("canary")
    if outcome.course is None or outcome.course.through:
        return None
    return outcome.course.stage.document(outcome.found.desired.hash, len(outcome.seen.model.spec.rollout.canary.steps))


def _standby(outcome: Outcome) -> dict[str, Any] | None:
    found, before = outcome.found.standby, outcome.seen.status.get("standby") or {}
    if found is None:
        return None
    told: dict[str, Any] = {"name": found.name, "ready": found.ready}
    if outcome.needs_standby:
        told["needed"] = True
    last = before.get("lastActivation")
    if _goes(outcome) and outcome.route.why != "Drill":
        last = {"time": timestamp(outcome.now)}
        if outcome.silent_for is not None:
            last["detectedSeconds"] = f"{outcome.silent_for.total_seconds():.1f}"
    return told | ({"lastActivation": last} if last else {}) | _drill(outcome, before)


def _goes(outcome: Outcome) -> bool:
    """Traffic goes to the standby in this look, or went and nobody could write so: an operator may end between the two."""
    before = outcome.seen.status.get("traffic") or {}
    unwritten = bool(before.get("name")) and before.get("target") != "Standby"
    return outcome.away is not None and (not outcome.found.on_standby or unwritten)


def _drill(outcome: Outcome, before: Mapping[str, Any]) -> dict[str, Any]:
    runs, told = outcome.drill, before.get("lastDrill")
    if outcome.drill_ended and runs:
        result, message = outcome.drill_ended
        took = drills.document(runs, None).get("activationSeconds")
        told = {"time": timestamp(outcome.now), "standby": runs.standby, "result": result, "message": message}
        told |= {"activationSeconds": took} if took else {}
        runs = None
    moves = outcome.now if _goes(outcome) and outcome.route.why == "Drill" else None
    return ({"drill": drills.document(runs, moves)} if runs else {}) | ({"lastDrill": told} if told else {})


def _followed(outcome: Outcome) -> dict[str, Any]:
    rolled_back = outcome.found.desired.hash if outcome.found.by_hand else None
    followed = wishes.followed(outcome.seen, rolled_back, outcome.found.facts)
    # A wish to return waits until it can be followed; one that was taken away is forgotten, so that it can be made again.
    waits = outcome.away and followed["returned"] is not None and outcome.seen.status.get("returned") != followed["returned"]
    asked = outcome.seen.model.metadata.annotations.get(drills.ANNOTATION)
    begins = outcome.drill is not None and outcome.drill.begins
    drilled = wishes.noted(asked) if asked is None or begins else outcome.seen.status.get("drilled")
    return followed | {"drilled": drilled} | ({"returned": outcome.seen.status.get("returned")} if waits else {})


def _revisions(outcome: Outcome) -> list[dict[str, Any]]:
    """Newest first; one that was made by this very decision has no pods yet."""
    known = [_revision(outcome, facts) for facts in outcome.found.facts.values() if _is_told(outcome, facts)]
    name = outcome.found.desired.hash
    if outcome.found.is_new and name in outcome.step.allocation:
        known.append({"name": name, "state": "Pending", "replicas": 0, "readyReplicas": 0, "startedAt": timestamp(outcome.now)})
    return known[::-1]


def _is_told(outcome: Outcome, facts: RevisionFacts) -> bool:
    busy = facts.revision.hash in outcome.step.allocation or facts.asked is not None or bool(facts.pods) or bool(facts.leaving)
    return busy or facts.good


def _revision(outcome: Outcome, facts: RevisionFacts) -> dict[str, Any]:
    told = {
        "name": facts.revision.hash,
        "state": _state(outcome, facts),
        "reason": facts.finding.reason if facts.finding else None,
        "message": facts.finding.message if facts.finding else None,
        "replicas": facts.replicas,
        "readyReplicas": facts.ready,
        "digest": weights.began_with(outcome.seen, facts),
        **facts.trial.document(),
    }
    return {name: value for name, value in told.items() if value is not None}


def _state(outcome: Outcome, facts: RevisionFacts) -> str:
    if facts.failed:
        return "Failed"
    if facts.revision.hash not in outcome.step.allocation:
        return "Retiring" if facts.asked is not None or facts.pods or facts.leaving else "Good"
    if facts.proven and facts.asked and not facts.ready:
        return "Unavailable"
    if facts.good:
        return "Good"
    if facts.ready:
        return "Ready"
    return "Starting" if any(pods.is_placed(pod) for pod in facts.pods) else "Pending"


def _gpus(outcome: Outcome) -> int:
    """Held now, by pods that have a node."""
    on_gpus = (facts for facts in outcome.found.facts.values() if facts.revision.on_gpus)
    return sum(sum(pods.reserved(pod).values()) for facts in on_gpus for pod in facts.pods if pods.is_placed(pod))


def _fit(outcome: Outcome) -> dict[str, Any] | None:
    """The engine's own figures replace what was reckoned; what neither knows is left out."""
    subject = outcome.subject
    if subject is None:
        return None
    same = outcome.seen.status.get("desiredRevision") == outcome.found.desired.hash
    told: dict[str, Any] = dict(outcome.seen.status.get("fit") or {}) if same else {}
    if found := subject.inspection:
        estimate = {
            "weights": memory_field(found.weights) if found.weights else None,
            "kvCacheTokens": found.kv_cache_tokens,
            "maxConcurrency": f"{found.max_concurrency:g}" if found.max_concurrency is not None else None,
            "source": "Estimate" if found.weights or found.kv_cache_tokens else None,
            "parameters": found.parameters,
            "digest": found.digest,
        }
        known = told if told.get("source") == "Engine" else {}
        told = {name: value for name, value in estimate.items() if value is not None} | known
    if figures := outcome.seen.figures.get(subject.revision.hash):
        measured = {"kvCacheTokens": figures.kv_cache_tokens, "maxConcurrency": f"{figures.max_concurrency:g}", "source": "Engine"}
        told |= measured
    return told or None
