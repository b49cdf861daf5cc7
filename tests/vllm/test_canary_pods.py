"""Two revisions of a real vLLM behind a real Gateway: the one that makes its clients wait is found out by what both engines count."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from box import waiting
from cluster import edge
from cluster.models import Model, request, smol
from cluster.space import pod

if TYPE_CHECKING:
    from collections.abc import Callable

    from box import Box
    from cluster.space import Space

START = 400
"""Seconds: the second engine starts beside the first, on the same two cores."""
CLIENTS = 6
"""At a time: an engine that takes one request after the other lets half of them wait for the whole of somebody else's answer."""
TTFT = {"metric": "TTFTSeconds", "quantile": "0.5", "maxRegressionPercent": 50}


def canary(node: str, **engine: Any) -> dict[str, Any]:
    allow = [{"podSelector": {}}, {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": edge.NAMESPACE}}}]
    rollout = {"parentRef": edge.PARENT, "steps": [{"weight": 50, "hold": "1h"}], "compare": [TTFT], "minRequests": 20}
    made = smol(
        node,
        health={"hangTimeout": "60s", "startupTimeout": "10m", "drainTimeout": "2s"},
        networkPolicy={"allowFrom": allow},
        rollout={"strategy": "Canary", "bake": "0s", "canary": rollout},
    )
    made["spec"]["engine"] |= engine
    return made


def loops() -> str:
    """A shell script of clients that never stop and write down each request that failed, and each that did not."""
    ask = request(edge.URL, "smol", "Tell me a story.", max_tokens=48).removesuffix("|| true")
    return (
        "touch /tmp/told; " + f"(while true; do {ask} > /dev/null && echo answered || echo lost; done >> /tmp/told) & " * CLIENTS + "wait"
    )


def test_a_slower_revision_is_given_up_and_all_traffic_is_back(
    space: Space, box: Box, vllm_node: str, record_property: Callable[[str, object], None]
) -> None:
    edge.install(box)
    model = Model.apply(space, canary(vllm_node))
    model.wait("Ready", "True", seconds=START)
    old = model.status()["activeRevision"]
    space.apply(canary(vllm_node, maxNumSeqs=1))
    waiting.until("it is on trial", lambda: (model.status().get("canary") or {}).get("step") == 1, seconds=START)
    assert {one["weight"] for one in model.status()["traffic"]["weights"]} == {50}
    space.run(pod("clients", loops()))
    message = model.wait("Degraded", "True", "CanaryLatency", seconds=400)
    record_property("given up", message)
    record_property("clients", str(Counter(space.inside("clients", "cat /tmp/told").split())))
    assert message.startswith("p50 of TTFT about ")
    assert f" of {old} in " in message
    waiting.until("all weight is back", lambda: model.status()["traffic"]["weights"] == [{"name": old, "weight": 100}], seconds=10)
    waiting.until("its pods are gone", lambda: len(model.pods()) == 1, seconds=90)
    assert model.condition("Ready")["status"] == "True"
    assert Counter(space.inside("clients", "cat /tmp/told").split())["lost"] <= CLIENTS, "what was on its way when its pods ended"
