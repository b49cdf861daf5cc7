"""The last step of the ladder: what the operator cannot mend by itself, so that a person is called, at night too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.domain.quantity import duration
from allod.domain.serving.page import AWAY_BY_INTENT, BY_INTENT, DOWN
from allod.render.monitoring.promql import condition, pods, span
from allod.render.monitoring.rule import Rule, alert
from allod.render.monitoring.wording import SECTION_OF_REASON, degraded, named, patience, reason_of, who

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment

NOT_URGENT = ("RolledBackByHand", "UnknownRevision", "InsufficientGPUs")
"""Reasons for which nobody is called: a person chose it, or mistyped it; or more GPUs are wanted while others serve."""


def page_rules(model: ModelDeployment) -> list[Rule]:
    """Nobody answers; or what happened has not passed within `health.page.after`."""
    lost = model.spec.replicas and model.spec.monitoring.pod_monitor
    standby = model.spec.standby
    return [
        _down(model),
        *([_lost(model)] if lost else []),
        _degraded_too_long(model),
        *([_on_standby_too_long(model)] if standby else []),
    ]


def _down(model: ModelDeployment) -> Rule:
    down = condition(model, "Ready", "False", no_reason=BY_INTENT)
    return alert(
        model,
        "AllodModelDown",
        "page",
        "model",
        expr=f"max({down}) == 1",
        lasting=patience(model, DOWN.total_seconds()),
        says=f"Model {who(model)} does not serve: nobody answers its clients.",
        do=f"{reason_of(down)} kubectl describe mdl {named(model)} tells it in sentences; {SECTION_OF_REASON}.",
    )


def _lost(model: ModelDeployment) -> Rule:
    """By the engines' own pages, for when the operator is gone too. While nobody says why, loading looks the same."""
    silent = f"absent(up{{{pods(model)}}} == 1)\nunless on () {condition(model, 'Ready')}"
    return alert(
        model,
        "AllodModelLost",
        "page",
        "system",
        expr=silent,
        lasting=span(model.spec.health.page.after.seconds),
        says=f"No engine of model {who(model)} answers Prometheus, and no operator says anything about it.",
        do=f"kubectl get pods -n {model.metadata.namespace} -l allod.dev/model={model.metadata.name}, and the pods of the operator: "
        "docs/troubleshooting.md, section OperatorSilent.",
    )


def _degraded_too_long(model: ModelDeployment) -> Rule:
    after, reason = model.spec.health.page.after, reason_of(condition(model, "Degraded", "True"))
    return alert(
        model,
        "AllodDegradedTooLong",
        "page",
        "model",
        expr=degraded(model, no_reason=NOT_URGENT),
        lasting=span(after.seconds),
        says=f"Model {who(model)} has been degraded for {duration(after.seconds)}, and the operator could not mend it.",
        do=f"{reason} kubectl describe mdl {named(model)} tells it in sentences; {SECTION_OF_REASON}.",
    )


def _on_standby_too_long(model: ModelDeployment) -> Rule:
    after, reason = model.spec.health.page.after, reason_of(condition(model, "Degraded", "True"))
    return alert(
        model,
        "AllodOnStandbyTooLong",
        "page",
        "model",
        expr=f"max({condition(model, 'FailedOver', 'True', no_reason=AWAY_BY_INTENT)}) == 1",
        lasting=span(after.seconds),
        says=f"The standby has answered for model {who(model)} for {duration(after.seconds)}, and there is none behind it.",
        do=f"{reason} kubectl describe mdl {named(model)} says why the model does not come back; {SECTION_OF_REASON}.",
    )
