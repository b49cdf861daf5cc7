"""What the API server refuses about service level objectives: each rule with its sentence."""

from __future__ import annotations

from allod.api.markers import Cel
from allod.api.modeldeploymentrules import TASK, between
from allod.api.values import Number, Ratio, cel_string

WINDOW = between("slo-window", "health.slos window", "30s", "1h")

QUANTILE = Cel(
    "slo-quantile-range",
    f"!self.matches({cel_string(Ratio.pattern)}) || (double(self) > 0.0 && double(self) < 1.0)",
    'the quantile of an SLO in health.slos lies between "0" and "1" and is neither of them: "0.99" for the 99th percentile',
)

_IS_NUMBER = f"self.threshold.matches({cel_string(Number.pattern)})"

SLO = (
    Cel(
        "slo-quantile-needed",
        "self.metric == 'ErrorRatio' || has(self.quantile)",
        'a latency in health.slos needs a quantile, which says how many of the requests have to be within the threshold: "0.99"',
        "'%s in health.slos needs a quantile, which says how many of the requests have to be within the threshold: \"0.99\"'"
        ".format([self.name])",
    ),
    Cel(
        "slo-quantile-refused",
        "self.metric != 'ErrorRatio' || !has(self.quantile)",
        "an ErrorRatio in health.slos is one number and has no quantile: leave it out",
        field_path=".quantile",
    ),
    Cel(
        "slo-error-threshold",
        f"self.metric != 'ErrorRatio' || !{_IS_NUMBER} || double(self.threshold) < 1.0",
        'the threshold of an ErrorRatio in health.slos is below "1", which would let every request fail: "0.01" allows one of a hundred',
        field_path=".threshold",
    ),
    Cel(
        "slo-latency-threshold",
        f"self.metric == 'ErrorRatio' || !{_IS_NUMBER} || double(self.threshold) > 0.0",
        'the threshold of a latency in health.slos is above "0" seconds, because every answer takes some time',
        field_path=".threshold",
    ),
)

_SLOS = "!has(self.health) || !has(self.health.slos)"

SPEC = (
    Cel(
        "llamacpp-slos",
        f"self.engine.type != 'LlamaCpp' || {_SLOS} || size(self.health.slos) == 0",
        "health.slos is for vLLM: LlamaCpp publishes neither errors nor latencies, so leave it out",
        field_path=".health",
    ),
    Cel(
        "slo-inter-token-task",
        f"{TASK.format('self.model')} == 'Generate' || {_SLOS} || self.health.slos.all(slo, slo.metric != 'InterTokenSeconds')",
        "InterTokenSeconds in health.slos is for the task Generate: embeddings and rankings come in one piece, so use EndToEndSeconds",
        field_path=".health",
    ),
)
