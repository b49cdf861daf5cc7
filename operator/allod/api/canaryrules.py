"""What the API server refuses about canaries: each rule with its sentence."""

from __future__ import annotations

from allod.api.markers import Cel
from allod.api.modeldeploymentrules import TASK, between
from allod.api.values import Ratio, cel_string

HOLD = between("canary-hold", "rollout.canary.steps hold", "1s", "48h")

QUANTILE = Cel(
    "compare-quantile-range",
    f"!self.matches({cel_string(Ratio.pattern)}) || (double(self) > 0.0 && double(self) < 1.0)",
    'a quantile in rollout.canary.compare lies between "0" and "1" and is neither of them: "0.95" for the 95th percentile',
)

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS = rf"^(\*\.)?{_LABEL}(\.{_LABEL})*$"
HOSTNAME = Cel(
    "canary-hostname",
    f"self.matches({cel_string(_DNS)})",
    "rollout.canary.hostnames are DNS names in lower case, such as chat.example.com; the first part may be *",
)

COMPARISON = (
    Cel(
        "compare-quantile-needed",
        "self.metric == 'ErrorRatio' || has(self.quantile)",
        'a latency in rollout.canary.compare needs a quantile, which says where the revisions are compared: "0.95"',
        field_path=".metric",
    ),
    Cel(
        "compare-quantile-refused",
        "self.metric != 'ErrorRatio' || !has(self.quantile)",
        "an ErrorRatio in rollout.canary.compare is one number and has no quantile: leave it out",
        field_path=".quantile",
    ),
)

CANARY = (
    Cel(
        "canary-rising",
        "!has(self.steps) || (self.steps.map(step, step.weight).isSorted()"
        " && self.steps.all(step, self.steps.exists_one(other, other.weight == step.weight)))",
        "the weights of rollout.canary.steps rise from step to step: 5, 25, 50",
        "'the weights of rollout.canary.steps rise from step to step, and %s do not'.format([self.steps.map(step, string(step.weight))])",
        field_path=".steps",
    ),
    Cel(
        "canary-compared-once",
        "!has(self.compare) || self.compare.all(each, self.compare.exists_one(other, other.metric == each.metric"
        " && (has(other.quantile) ? other.quantile : '') == (has(each.quantile) ? each.quantile : '')))",
        "rollout.canary.compare names the same metric and quantile twice: one of them is enough",
        field_path=".compare",
    ),
)

_ROLLOUT = "!has(self.rollout)"
_IS_CANARY = "has(self.rollout.strategy) && self.rollout.strategy == 'Canary'"
_COMPARES = "has(self.rollout) && has(self.rollout.canary) && has(self.rollout.canary.compare) && size(self.rollout.canary.compare) > 0"
_STEPS = "has(self.rollout.canary) && has(self.rollout.canary.steps) && size(self.rollout.canary.steps) > 0"

SPEC = (
    Cel(
        "canary-parent",
        f"{_ROLLOUT} || !({_IS_CANARY}) || (has(self.rollout.canary) && has(self.rollout.canary.parentRef))",
        "rollout.strategy Canary parts traffic by an HTTPRoute, which needs a Gateway: name one in rollout.canary.parentRef",
        field_path=".rollout",
    ),
    Cel(
        "canary-steps",
        f"{_ROLLOUT} || !({_IS_CANARY}) || ({_STEPS})",
        "rollout.strategy Canary needs to know how much traffic to send and for how long: give at least one of rollout.canary.steps",
        field_path=".rollout",
    ),
    Cel(
        "canary-strategy",
        f"{_ROLLOUT} || {_IS_CANARY} || (!({_STEPS}) && !({_COMPARES}))",
        "rollout.canary.steps and compare are for rollout.strategy Canary: choose it, or leave them out",
        field_path=".rollout",
    ),
    Cel(
        "llamacpp-compare",
        f"self.engine.type != 'LlamaCpp' || !({_COMPARES})",
        "rollout.canary.compare is for vLLM: LlamaCpp publishes neither errors nor latencies, so leave it out",
        field_path=".rollout",
    ),
    Cel(
        "compare-inter-token-task",
        f"{TASK.format('self.model')} == 'Generate' || !({_COMPARES})"
        " || self.rollout.canary.compare.all(each, each.metric != 'InterTokenSeconds')",
        "InterTokenSeconds in rollout.canary.compare is for the task Generate: embeddings and rankings come in one piece, so use"
        " EndToEndSeconds",
        field_path=".rollout",
    ),
)
