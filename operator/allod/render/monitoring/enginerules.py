"""Alerts about the engine in the pods, from what its own page says.

vLLM's names are those of 0.32, read from a real page. llama.cpp publishes neither errors nor latencies nor the state of its memory
(build 11669): only that requests wait can be asked of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.domain.serving.engine.metrics import KV_USAGE, WAITING
from allod.render.monitoring.promql import REVISION, pods
from allod.render.monitoring.rule import Rule, alert, record

if TYPE_CHECKING:
    from collections.abc import Collection

    from allod.api.modeldeployment import ModelDeployment
    from allod.render.running import Engine


def engine_rules(model: ModelDeployment, engines: Collection[Engine]) -> list[Rule]:
    """Those of its engines: two while revisions with different ones run."""
    saturated = _saturated(model, engines)
    return _vllm(model, saturated) if "vLLM" in engines else [saturated]


def _vllm(model: ModelDeployment, saturated: Rule) -> list[Rule]:
    of, who = pods(model), f"{model.metadata.namespace}/{model.metadata.name}"
    return [
        record("allod:ttft_seconds:p99", _p99("vllm:time_to_first_token_seconds", of)),
        record("allod:e2e_latency_seconds:p99", _p99("vllm:e2e_request_latency_seconds", of)),
        alert(
            model,
            "AllodEngineHung",
            "warning",
            "model",
            expr=f"max by (pod) (allod_watchdog_hung{{{of}}}) == 1",
            says="The engine in {{ $labels.pod }} of model " + who + " makes no step while requests wait for it.",
            do="Nothing yet: its pod gets no more requests and is restarted. Again and again: docs/troubleshooting.md, section EngineHung.",
        ),
        saturated,
        alert(
            model,
            "AllodPreemptions",
            "warning",
            "hardware",
            expr=f"sum(rate(vllm:num_preemptions_total{{{of}}}[5m])) > 0.1",
            lasting="10m",
            says=f"Model {who} throws away begun answers for lack of KV cache.",
            do="Lower engine.maxNumSeqs, or give it more memory: docs/troubleshooting.md, section Saturated.",
        ),
    ]


def _saturated(model: ModelDeployment, engines: Collection[Engine]) -> Rule:
    """One alert whatever the engines are: Prometheus takes two of one name and with the same labels for a mistake."""
    of, who = pods(model), f"{model.metadata.namespace}/{model.metadata.name}"
    asked: dict[Engine, tuple[str, str, str]] = {
        "vLLM": (
            f"max({WAITING}{{{of}}}) > 0 and max({KV_USAGE[0]}{{{of}}}) > 0.95",
            "because the KV cache is full",
            "a smaller engine.maxModelLen",
        ),
        "LlamaCpp": (f"max(llamacpp:requests_deferred{{{of}}}) > 0", "for a slot", "more engine.maxNumSeqs"),
    }
    expressions, causes, remedies = zip(*(said for engine, said in asked.items() if engine in engines), strict=True)
    return alert(
        model,
        "AllodSaturated",
        "warning",
        "hardware",
        expr="\nor\n".join(expressions),
        lasting="10m",
        says=f"Requests to model {who} wait {' or '.join(causes)}.",
        do=f"Give it more replicas or {' or '.join(remedies)}: docs/troubleshooting.md, section Saturated.",
    )


def _p99(histogram: str, of: str) -> str:
    return f"histogram_quantile(0.99, sum by (le, {REVISION}) (rate({histogram}_bucket{{{of}}}[5m])))"
