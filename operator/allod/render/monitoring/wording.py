"""What alerts have in common: whom they are about, how long they wait, and where a person reads on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.domain.serving.crossroads import WAKING
from allod.render.monitoring.promql import condition, span

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment

SECTION_OF_REASON = "docs/troubleshooting.md has a section of that name"
SECTION_OF_LABEL = "docs/troubleshooting.md, section {{ $labels.reason }}, says what to do"


def who(model: ModelDeployment) -> str:
    """`namespace/name`."""
    return f"{model.metadata.namespace}/{model.metadata.name}"


def named(model: ModelDeployment) -> str:
    """As kubectl wants it."""
    return f"{model.metadata.name} -n {model.metadata.namespace}"


def patience(model: ModelDeployment, usual: float) -> str:
    """Nothing is waited for longer than health.page.after; `usual` is in seconds."""
    return span(min(usual, model.spec.health.page.after.seconds))


def reason_of(series: str) -> str:
    """Asked when the alert is sent: as a label it would begin the alert's time anew whenever it changes."""
    return f"The reason is {{{{ range query `{series}` }}}}{{{{ .Labels.reason }}}}{{{{ else }}}}not known{{{{ end }}}}."


def degraded(model: ModelDeployment, *, no_reason: tuple[str, ...], by: str = "") -> str:
    """Something is wrong with what serves or should: not with a revision that was given up, nor with one that wakes from no replicas."""
    wrong = condition(model, "Degraded", "True", no_reason=no_reason)
    waking = condition(model, "Ready", "False", reason=WAKING)
    return f"max{f' by ({by}) ' if by else ''}({wrong}) == 1\nunless on () {given_up(model)}\nunless on () {waking}"


def given_up(model: ModelDeployment) -> str:
    """A revision that was given up holds nothing up: what served before it goes on."""
    return condition(model, "Progressing", "False", reason="RevisionFailed")
