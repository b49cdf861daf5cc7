"""Alerts about a model, from the engine's own figures.

vLLM's names are those of 0.32, read from a real page. Two traps: 503 of a full queue and 500 while draining count as server errors, so
both are taken out or waited for; and a dead engine loses its counters, so its death shows as `up` and never as an error rate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allod.render.metadata import metadata

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.manifest import Manifest

API = "monitoring.coreos.com/v1/PrometheusRule"

Rule = dict[str, Any]


def prometheus_rule(model: ModelDeployment) -> Manifest:
    """Alerts, and for vLLM two recorded quantiles."""
    meta = model.metadata
    where = f'namespace="{meta.namespace}",allod_dev_model="{meta.name}"'
    by_engine = _vllm(where, meta.name) if model.spec.engine.type == "vLLM" else _llamacpp(where, meta.name)
    down = [_down(where, meta.name)] if model.spec.replicas else []
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": metadata(model, meta.name, labels=dict(model.spec.monitoring.labels)),
        "spec": {"groups": [{"name": f"allod.{meta.namespace}.{meta.name}", "rules": [*down, *by_engine]}]},
    }


def _down(where: str, name: str) -> Rule:
    return _alert(
        "AllodModelDown",
        f"sum(up{{{where}}}) == 0 or absent(up{{{where}}})",
        "2m",
        "critical",
        f"no engine of model {name} answers its scrape: kubectl describe mdl {name} says why",
    )


def _vllm(where: str, name: str) -> list[Rule]:
    served = f'{where},handler=~"/v1/.*"'
    errors = f'sum(rate(http_requests_total{{{served},status="5xx"}}[5m]))'
    overload = f"sum(rate(vllm:admission_rejections_total{{{where}}}[5m]))"
    everything = f'sum(rate(http_requests_total{{{served},status=~"2xx|5xx"}}[5m]))'
    requests = f'sum(increase(http_requests_total{{{served},status=~"2xx|5xx"}}[5m]))'
    failed = f'sum(rate(vllm:request_success_total{{{where},finished_reason="error"}}[5m]))'
    ended = f"sum(rate(vllm:request_success_total{{{where}}}[5m]))"
    waiting = f"max(vllm:num_requests_waiting{{{where}}})"
    cache = f"max(vllm:kv_cache_usage_perc{{{where}}})"
    return [
        _record("allod:ttft_seconds:p99", _quantile("vllm:time_to_first_token_seconds", where)),
        _record("allod:e2e_latency_seconds:p99", _quantile("vllm:e2e_request_latency_seconds", where)),
        _alert(
            "AllodEngineHung",
            f"max by (pod) (allod_watchdog_hung{{{where}}}) == 1",
            "0m",
            "critical",
            "the engine in {{ $labels.pod }} of model " + name + " makes no step while requests wait for it",
        ),
        _alert(
            "AllodServerErrors",
            f"({errors} - ({overload} or vector(0))) / clamp_min({everything}, 1e-9) > 0.05 and {requests} > 50",
            "5m",
            "warning",
            f"more than 5 % of the requests to model {name} end in a server error, overload not counted",
        ),
        _alert(
            "AllodStreamErrors",
            f"{failed} / clamp_min({ended}, 1e-9) > 0.01",
            "5m",
            "warning",
            f"more than 1 % of the answers of model {name} break off in the engine",
        ),
        _alert(
            "AllodSaturated",
            f"{waiting} > 0 and {cache} > 0.95",
            "10m",
            "warning",
            f"requests to model {name} wait because the KV cache is full: more replicas, or a smaller engine.maxModelLen",
        ),
        _alert(
            "AllodPreemptions",
            f"sum(rate(vllm:num_preemptions_total{{{where}}}[5m])) > 0.1",
            "10m",
            "warning",
            f"model {name} throws away begun answers for lack of KV cache: fewer engine.maxNumSeqs, or more memory",
        ),
    ]


def _llamacpp(where: str, name: str) -> list[Rule]:
    return [
        _alert(
            "AllodSaturated",
            f"max(llamacpp:requests_deferred{{{where}}}) > 0",
            "10m",
            "warning",
            f"requests to model {name} wait for a slot: more replicas, or more engine.maxNumSeqs",
        )
    ]


def _quantile(histogram: str, where: str) -> str:
    return (
        f"histogram_quantile(0.99, sum by (le, namespace, allod_dev_model, allod_dev_revision) (rate({histogram}_bucket{{{where}}}[5m])))"
    )


def _record(name: str, expression: str) -> Rule:
    return {"record": name, "expr": expression}


def _alert(name: str, expression: str, lasting: str, severity: str, summary: str) -> Rule:
    return {"alert": name, "expr": expression, "for": lasting, "labels": {"severity": severity}, "annotations": {"summary": summary}}
