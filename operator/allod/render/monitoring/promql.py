"""PromQL about one model, as text: which series are its own, and what a counter gained."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.serving.engine.metrics import Lines

REVISION = "namespace, allod_dev_model, allod_dev_revision"
"""What tells the revisions of all models apart: labels that the PodMonitor puts on each scrape of a pod."""


def pods(model: ModelDeployment) -> str:
    """Labels of everything that is scraped from the model's pods."""
    return f'namespace="{model.metadata.namespace}",allod_dev_model="{model.metadata.name}"'


def condition(model: ModelDeployment, kind: str, status: str = "", *, reason: str = "", no_reason: tuple[str, ...] = ()) -> str:
    """The operator's own word about the model, with its reason as a label; `no_reason` are reasons that it must not have."""
    meta = model.metadata
    labels = [f'kind="ModelDeployment",namespace="{meta.namespace}",name="{meta.name}",type="{kind}"']
    labels += [f'status="{status}"'] if status else []
    labels += [f'reason="{reason}"'] if reason else []
    labels += ['reason!~"{}"'.format("|".join(no_reason))] if no_reason else []
    return f"allod_condition{{{','.join(labels)}}}"


def span(seconds: float) -> str:
    """A length of time as Prometheus writes it: whole numbers alone."""
    whole = round(seconds)
    if abs(seconds - whole) > 1e-9:  # noqa: PLR2004  # what a float of milliseconds is off by
        return f"{round(seconds * 1000)}ms"
    return next((f"{whole // size}{unit}" for unit, size in (("h", 3600), ("m", 60)) if whole and whole % size == 0), f"{whole}s")


def gained(lines: Lines, of: str, over: str) -> str:
    """What each series of a counter gained within that time.

    One that was not there before counts from 0. `increase` alone takes its first value for its beginning, so the first failures of an
    engine, which come with a label that it had not used until then, would be lost.
    """
    labels = ",".join([of, *(f'{label}=~"{pattern}"' for label, pattern in lines.labels)])
    series = f"{lines.name}{{{labels}}}"
    return f"increase({series}[{over}]) and {series} offset {over} or max_over_time({series}[{over}]) unless {series} offset {over}"
