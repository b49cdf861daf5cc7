"""One rule of Prometheus: a figure that is kept, or an alert."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment

Rule = dict[str, Any]

Severity = Literal["page", "warning"]
"""page: a person is needed now, at night too. warning: somebody should look on the next working day."""
Level = Literal["hardware", "model", "business", "system"]
"""What the alert is about: GPUs and their memory; the model and its rollout; what clients are promised; the operator and Prometheus."""


def record(name: str, expression: str, **labels: str) -> Rule:
    """A figure under a name of its own."""
    return {"record": name, "expr": expression} | ({"labels": labels} if labels else {})


def alert(model: ModelDeployment, name: str, severity: Severity, level: Level, *, expr: str, lasting: str = "", says: str, do: str) -> Rule:
    """An alert that fires when the expression has given something for as long as `lasting`; without it at once.

    `says` is what is wrong, `do` what a person does about it: sentences, which may use Prometheus' templates.
    """
    return {
        "alert": name,
        "expr": expr,
        **({"for": lasting} if lasting else {}),
        "labels": {"severity": severity, "level": level, "namespace": model.metadata.namespace, "model": model.metadata.name},
        "annotations": {"summary": says, "description": do},
    }
