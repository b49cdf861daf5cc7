from __future__ import annotations

from typing import Any

from admission.case import Case, Manifest, llamacpp, vllm

GATEWAY = {"parentRef": {"name": "edge", "namespace": "gateways", "sectionName": "https"}}
STEPS = [{"weight": 5, "hold": "5m"}, {"weight": 50, "hold": "10m"}]
TTFT = {"metric": "TTFTSeconds", "quantile": "0.95", "maxRegressionPercent": 20}
ERRORS = {"metric": "ErrorRatio", "maxRegressionPercent": 1}


def canary(**changes: Any) -> Manifest:
    """A model whose new revisions are tried as canaries; None leaves a field out."""
    section = {**GATEWAY, "steps": STEPS, "compare": [TTFT, ERRORS], **changes}
    return vllm(rollout={"strategy": "Canary", "canary": {key: value for key, value in section.items() if value is not None}})


CANARY_CASES = (
    Case(
        "canary-parent",
        canary(),
        canary(parentRef=None),
        "spec.rollout",
        "rollout.strategy Canary parts traffic by an HTTPRoute, which needs a Gateway: name one in rollout.canary.parentRef",
    ),
    Case(
        "canary-steps",
        canary(compare=None),
        canary(steps=None),
        "spec.rollout",
        "rollout.strategy Canary needs to know how much traffic to send and for how long: give at least one of rollout.canary.steps",
    ),
    Case(
        "canary-strategy",
        vllm(rollout__canary=GATEWAY),
        vllm(rollout__canary={**GATEWAY, "steps": STEPS}),
        "spec.rollout",
        "rollout.canary.steps and compare are for rollout.strategy Canary: choose it, or leave them out",
    ),
    Case(
        "canary-rising",
        canary(steps=[{"weight": 1, "hold": "1s"}, {"weight": 99, "hold": "48h"}]),
        canary(steps=[{"weight": 5, "hold": "1m"}, {"weight": 5, "hold": "1m"}]),
        "spec.rollout.canary.steps",
        'the weights of rollout.canary.steps rise from step to step, and ["5", "5"] do not',
    ),
    Case(
        "canary-hold",
        canary(steps=[{"weight": 5, "hold": "48h"}]),
        canary(steps=[{"weight": 5, "hold": "49h"}]),
        "spec.rollout.canary.steps[0].hold",
        "rollout.canary.steps hold 49h is not between 1s and 48h",
    ),
    Case(
        "canary-hostname",
        canary(hostnames=["*.example.com", "chat.example.com"]),
        canary(hostnames=["Chat.example.com"]),
        "spec.rollout.canary.hostnames[0]",
        "rollout.canary.hostnames are DNS names in lower case, such as chat.example.com; the first part may be *",
    ),
    Case(
        "canary-compared-once",
        canary(compare=[TTFT, {**TTFT, "quantile": "0.5"}, ERRORS]),
        canary(compare=[TTFT, ERRORS, {**TTFT, "maxRegressionPercent": 50}]),
        "spec.rollout.canary.compare",
        "rollout.canary.compare names the same metric and quantile twice: one of them is enough",
    ),
    Case(
        "compare-quantile-range",
        canary(compare=[{**TTFT, "quantile": "0.5"}]),
        canary(compare=[{**TTFT, "quantile": "1.0"}]),
        "spec.rollout.canary.compare[0].quantile",
        'a quantile in rollout.canary.compare lies between "0" and "1" and is neither of them: "0.95" for the 95th percentile',
    ),
    Case(
        "compare-quantile-needed",
        canary(compare=[TTFT]),
        canary(compare=[{"metric": "TTFTSeconds", "maxRegressionPercent": 20}]),
        "spec.rollout.canary.compare[0].metric",
        'a latency in rollout.canary.compare needs a quantile, which says where the revisions are compared: "0.95"',
    ),
    Case(
        "compare-quantile-refused",
        canary(compare=[ERRORS]),
        canary(compare=[{**ERRORS, "quantile": "0.5"}]),
        "spec.rollout.canary.compare[0].quantile",
        "an ErrorRatio in rollout.canary.compare is one number and has no quantile: leave it out",
    ),
    Case(
        "llamacpp-compare",
        llamacpp(rollout={"strategy": "Canary", "canary": {**GATEWAY, "steps": STEPS}}),
        llamacpp(rollout={"strategy": "Canary", "canary": {**GATEWAY, "steps": STEPS, "compare": [ERRORS]}}),
        "spec.rollout",
        "rollout.canary.compare is for vLLM: LlamaCpp publishes neither errors nor latencies, so leave it out",
    ),
    Case(
        "compare-inter-token-task",
        vllm(model__task="Embed", rollout=canary(compare=[{**TTFT, "metric": "EndToEndSeconds"}])["spec"]["rollout"]),
        vllm(model__task="Embed", rollout=canary(compare=[{**TTFT, "metric": "InterTokenSeconds"}])["spec"]["rollout"]),
        "spec.rollout",
        "InterTokenSeconds in rollout.canary.compare is for the task Generate: embeddings and rankings come in one piece, so use"
        " EndToEndSeconds",
    ),
)
