"""What the operator did, and what it waits for: alerts for the next working day, from its own conditions of the model.

They read `allod_condition` of the operator's page, so kube-state-metrics is not needed. While nobody scrapes the operator they are
silent, and AllodOperatorSilent says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.domain.quantity import duration
from allod.domain.serving.canary.canary import rules
from allod.domain.serving.health.measurement import KIND
from allod.domain.serving.page import AWAY_BY_INTENT
from allod.render.monitoring.pagerules import NOT_URGENT
from allod.render.monitoring.promql import condition, pods, span
from allod.render.monitoring.rule import Rule, alert
from allod.render.monitoring.wording import SECTION_OF_LABEL, SECTION_OF_REASON, degraded, given_up, named, patience, reason_of, who

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment

WRONG, MISSING, BLIND = 60.0, 300.0, 600.0
"""Seconds for which something is wrong, a standby, GPUs or the operator are missing, or engines are not scraped, before anybody is told."""


def ladder_rules(model: ModelDeployment, *, on_gpus: bool) -> list[Rule]:
    """From what is wrong to what makes these alerts blind. `on_gpus`: some revision that runs reserves any."""
    standby = [_failed_over(model), _flapping(model), _standby_not_ready(model)]
    return [
        _degraded(model),
        *(standby if model.spec.standby else []),
        _rollout_failed(model),
        _rollout_stalled(model),
        *([_gpus_missing(model)] if on_gpus else []),
        _operator_silent(model),
        *([_not_scraped(model)] if model.spec.monitoring.pod_monitor else []),
        *([_not_measured(model)] if model.spec.health.slos or rules(model.spec) else []),
    ]


def _degraded(model: ModelDeployment) -> Rule:
    return alert(
        model,
        "AllodDegraded",
        "warning",
        "model",
        expr=degraded(model, no_reason=(*NOT_URGENT, "Flapping"), by="reason"),
        lasting=patience(model, WRONG),
        says=f"Something is wrong with model {who(model)}: {{{{ $labels.reason }}}}.",
        do="Nothing yet where the operator can help itself. docs/troubleshooting.md, section {{ $labels.reason }}, says where it cannot.",
    )


def _failed_over(model: ModelDeployment) -> Rule:
    away = condition(model, "FailedOver", "True", no_reason=AWAY_BY_INTENT)
    return alert(
        model,
        "AllodFailedOver",
        "warning",
        "model",
        expr=f"max by (reason) ({away}) == 1",
        says=f"The standby answers for model {who(model)}.",
        do=f"Its clients have an answer. kubectl describe mdl {named(model)} says why; traffic comes back "
        "by itself unless health.failover.recovery is Manual.",
    )


def _flapping(model: ModelDeployment) -> Rule:
    return alert(
        model,
        "AllodFlapping",
        "warning",
        "model",
        expr=f"max({condition(model, 'FailedOver', 'True', reason='Flapping')}) == 1",
        says=f"Model {who(model)} came back from its standby again and again, and failed each time.",
        do="Traffic stays on the standby for now. docs/troubleshooting.md, section Flapping, says how to bring it back.",
    )


def _standby_not_ready(model: ModelDeployment) -> Rule:
    return alert(
        model,
        "AllodStandbyNotReady",
        "warning",
        "model",
        expr=f"max by (reason) ({condition(model, 'StandbyReady', 'False', no_reason=('StandbyCold',))}) == 1",
        lasting=patience(model, MISSING),
        says=f"The standby of model {who(model)} could not take over: {{{{ $labels.reason }}}}.",
        do=f"When the model fails now, nobody answers. {SECTION_OF_LABEL}.",
    )


def _rollout_failed(model: ModelDeployment) -> Rule:
    return alert(
        model,
        "AllodRolloutFailed",
        "warning",
        "model",
        expr=f"max({given_up(model)}) == 1",
        says=f"The newest revision of model {who(model)} was given up; what served before it goes on.",
        do=f"{reason_of(condition(model, 'Degraded', 'True'))} Correct the spec, or try again with the annotation "
        f"allod.dev/retry-revision; {SECTION_OF_REASON}.",
    )


def _rollout_stalled(model: ModelDeployment) -> Rule:
    deadline = model.spec.rollout.progress_deadline.seconds
    # A canary takes as long as its steps and its requests do.
    slow = condition(model, "Progressing", "True", no_reason=("Canary",))
    return alert(
        model,
        "AllodRolloutStalled",
        "warning",
        "model",
        expr=f"max by (reason) ({slow}) == 1\nunless on () {condition(model, 'FailedOver', 'True')}",
        # A minute more: at the deadline itself the operator gives up what it can.
        lasting=span(deadline + 60),
        says=f"Model {who(model)} is not what its spec asks for after rollout.progressDeadline ({duration(deadline)}).",
        do=f"The reason is {{{{ $labels.reason }}}}. kubectl describe mdl {named(model)} says what it waits for; but for "
        "RollingOut and Starting docs/troubleshooting.md has a section of that name.",
    )


def _gpus_missing(model: ModelDeployment) -> Rule:
    return alert(
        model,
        "AllodGPUsMissing",
        "warning",
        "hardware",
        expr=f"max by (reason) ({condition(model, 'GPUsAvailable', 'False')}) == 1",
        lasting=patience(model, MISSING),
        says=f"Model {who(model)} wants GPUs that no node has free.",
        do=f"It waits for them. {SECTION_OF_LABEL}.",
    )


def _operator_silent(model: ModelDeployment) -> Rule:
    return alert(
        model,
        "AllodOperatorSilent",
        "warning",
        "system",
        expr=f"absent({condition(model, 'Ready')})",
        lasting=patience(model, MISSING),
        says=f"No operator says anything about model {who(model)}: nobody moves its traffic when it fails.",
        do="The operator is down, or Prometheus does not scrape it: docs/troubleshooting.md, section OperatorSilent.",
    )


def _not_scraped(model: ModelDeployment) -> Rule:
    return alert(
        model,
        "AllodNotScraped",
        "warning",
        "system",
        expr=f"max({condition(model, 'Ready', 'True', reason='Serving')}) == 1\nunless on () up{{{pods(model)}}} == 1",
        lasting=patience(model, BLIND),
        says=f"Model {who(model)} serves and Prometheus reads none of its engines: alerts about errors and latencies are blind.",
        do="Mostly spec.networkPolicy.allowFrom does not name Prometheus: docs/troubleshooting.md, section NotScraped.",
    )


def _not_measured(model: ModelDeployment) -> Rule:
    """Only an operator that asks a Prometheus has this condition. It may be another one than the one that alerts."""
    return alert(
        model,
        "AllodNotMeasured",
        "warning",
        "system",
        expr=f"max by (reason) ({condition(model, KIND, 'False')}) == 1",
        lasting=patience(model, BLIND),
        says=f"The operator cannot judge the errors and latencies of model {who(model)}: {{{{ $labels.reason }}}}.",
        do=f"No revision of it is given up for them meanwhile. {SECTION_OF_LABEL}.",
    )
