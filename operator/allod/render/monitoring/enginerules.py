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
    from allod.api.modeldeployment import ModelDeployment


def engine_rules(model: ModelDeployment) -> list[Rule]:
    """Those of its engine."""
    return _vllm(model) if model.spec.engine.type == "vLLM" else _llamacpp(model)


def _vllm(model: ModelDeployment) -> list[Rule]:
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
        alert(
            model,
            "AllodSaturated",
            "warning",
            "hardware",
            expr=f"max({WAITING}{{{of}}}) > 0 and max({KV_USAGE[0]}{{{of}}}) > 0.95",
            lasting="10m",
            says=f"Requests to model {who} wait because the KV cache is full.",
            do="Give it more replicas or a smaller engine.maxModelLen: docs/troubleshooting.md, section Saturated.",
        ),
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


def _llamacpp(model: ModelDeployment) -> list[Rule]:
    who = f"{model.metadata.namespace}/{model.metadata.name}"
    return [
        alert(
            model,
            "AllodSaturated",
            "warning",
            "hardware",
            expr=f"max(llamacpp:requests_deferred{{{pods(model)}}}) > 0",
            lasting="10m",
            says=f"Requests to model {who} wait for a slot.",
            do="Give it more replicas or more engine.maxNumSeqs: docs/troubleshooting.md, section Saturated.",
        )
    ]


def _p99(histogram: str, of: str) -> str:
    return f"histogram_quantile(0.99, sum by (le, {REVISION}) (rate({histogram}_bucket{{{of}}}[5m])))"
