"""One model with everything that has an alert, its rules, and the series that they read."""

from __future__ import annotations

from typing import Any

from allod.api.modeldeployment import ModelDeployment
from allod.render.monitoring.prometheusrule import prometheus_rule
from allod.render.running import of_spec

SPEC: dict[str, Any] = {
    "model": {"uri": "pvc://models/smollm2"},
    "engine": {"type": "vLLM"},
    "resources": {"gpu": {"count": 1}, "memory": "32Gi"},
    "standby": {"modelDeploymentRef": {"name": "small"}},
    "health": {
        "page": {"after": "15m"},
        "slos": [
            {"name": "errors", "metric": "ErrorRatio", "threshold": "0.01", "window": "2m", "minRequests": 50},
            {"name": "ttft", "metric": "TTFTSeconds", "quantile": "0.9", "threshold": "2.5", "window": "2m", "minRequests": 50},
        ],
    },
}


def rule_of(**changes: Any) -> dict[str, Any]:
    """The PrometheusRule of that model."""
    model = model_of(**changes)
    return prometheus_rule(model, of_spec(model.spec))


def model_of(**changes: Any) -> ModelDeployment:
    """That model, with whole sections of its spec replaced."""
    spec = {key: value for key, value in (SPEC | changes).items() if value is not None}
    return ModelDeployment.model_validate({"metadata": {"name": "chat", "namespace": "ai"}, "spec": spec})


def told(kind: str, status: str, reason: str) -> str:
    """The operator's series about a condition."""
    labels = {"kind": "ModelDeployment", "namespace": "ai", "name": "chat", "type": kind, "status": status, "reason": reason}
    return f"allod_condition{{{_written(labels)}}}"


def scraped(name: str, *, pod: str = "chat-a-0", revision: str = "a", **labels: str) -> str:
    """A series of an engine's page, with the labels of its PodMonitor."""
    ours = {"namespace": "ai", "allod_dev_model": "chat", "allod_dev_revision": revision, "pod": pod}
    return f"{name}{{{_written(ours | labels)}}}"


def answered(status: str, **more: str) -> str:
    """Answers by the class of their status."""
    return scraped("http_requests_total", handler="/v1/chat/completions", method="POST", status=status, **more)


def _written(labels: dict[str, str]) -> str:
    return ",".join(f'{name}="{value}"' for name, value in labels.items())
