from __future__ import annotations

from typing import Any

from admission.case import Case, Manifest, llamacpp, vllm

ERRORS: dict[str, Any] = {"name": "errors", "metric": "ErrorRatio", "threshold": "0.01", "window": "2m"}
TTFT: dict[str, Any] = {"name": "ttft", "metric": "TTFTSeconds", "quantile": "0.99", "threshold": "2.5", "window": "5m"}
TOKENS: dict[str, Any] = {"name": "tokens", "metric": "InterTokenSeconds", "quantile": "0.9", "threshold": "0.05", "window": "5m"}


def held(slo: dict[str, Any], **changes: Any) -> Manifest:
    """A model with this objective, its fields changed; None leaves one out."""
    return vllm(health__slos=[{key: value for key, value in (slo | changes).items() if value is not None}])


SLO_CASES = (
    Case(
        "slo-window",
        held(ERRORS, window="30s"),
        held(ERRORS, window="61m"),
        "spec.health.slos[0].window",
        "health.slos window 61m is not between 30s and 1h",
    ),
    Case(
        "slo-quantile-range",
        held(TTFT, quantile="0.0001"),
        held(TTFT, quantile="1.0"),
        "spec.health.slos[0].quantile",
        'the quantile of an SLO in health.slos lies between "0" and "1" and is neither of them: "0.99" for the 99th percentile',
    ),
    Case(
        "slo-quantile-needed",
        held(TTFT),
        held(TTFT, quantile=None),
        "spec.health.slos[0]",
        'ttft in health.slos needs a quantile, which says how many of the requests have to be within the threshold: "0.99"',
    ),
    Case(
        "slo-quantile-refused",
        held(ERRORS),
        held(ERRORS, quantile="0.99"),
        "spec.health.slos[0].quantile",
        "an ErrorRatio in health.slos is one number and has no quantile: leave it out",
    ),
    Case(
        "slo-error-threshold",
        held(ERRORS, threshold="0"),
        held(ERRORS, threshold="1"),
        "spec.health.slos[0].threshold",
        'the threshold of an ErrorRatio in health.slos is below "1", which would let every request fail: "0.01" allows one of a hundred',
    ),
    Case(
        "slo-latency-threshold",
        held(TTFT, threshold="0.000001"),
        held(TTFT, threshold="0.0"),
        "spec.health.slos[0].threshold",
        'the threshold of a latency in health.slos is above "0" seconds, because every answer takes some time',
    ),
    Case(
        "number-shape",
        held(TTFT, threshold="123456.123456"),
        held(TTFT, threshold="2.5s"),
        "spec.health.slos[0].threshold",
        'it is 2.5s, and a decimal number is written as a string, with a point and without a unit: "2.5"',
    ),
    Case(
        "llamacpp-slos",
        llamacpp(health={"hangTimeout": "10s"}),
        llamacpp(health={"slos": [ERRORS]}),
        "spec.health",
        "health.slos is for vLLM: LlamaCpp publishes neither errors nor latencies, so leave it out",
    ),
    Case(
        "slo-inter-token-task",
        vllm(model__task="Embed", health__slos=[ERRORS, TTFT]),
        vllm(model__task="Embed", health__slos=[ERRORS, TOKENS]),
        "spec.health",
        "InterTokenSeconds in health.slos is for the task Generate: embeddings and rankings come in one piece, so use EndToEndSeconds",
    ),
)
