"""Real vLLM in a pod, scraped by a real Prometheus: the operator finds an objective broken by what Prometheus says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from box import waiting
from cluster.models import HANG, Model, smol
from cluster.told import OPEN, told
from support.prometheus import Prometheus

if TYPE_CHECKING:
    from box import Box
    from cluster.release import Release
    from cluster.space import Space

START = 300
"""Seconds: 66 were measured on two idle cores."""
ASKED = 8
TTFT = {"name": "ttft", "metric": "TTFTSeconds", "quantile": "0.5", "threshold": "0.001", "window": "1m", "minRequests": ASKED}
"""It cannot be held."""


def test_an_objective_that_real_vllm_does_not_hold_is_found_through_prometheus(
    space: Space, box: Box, release: Release, vllm_node: str
) -> None:
    health = {"hangTimeout": f"{HANG}s", "startupTimeout": "10m", "drainTimeout": "2s", "slos": [TTFT]}
    prometheus = Prometheus.start(box)
    with told(release):
        model = Model.apply(space, smol(vllm_node, health=health, networkPolicy=OPEN))
        model.wait("Ready", "True", seconds=START)
        prometheus.follow()
        model.wait("Measured", "True", "Scraped", seconds=60)
        of = f'namespace="{space.name}",allod_dev_model="smol"'
        waiting.until(
            "it was seen for the whole window",
            lambda: (prometheus.number(f"count_over_time(up{{{of}}}[90s])") or 0) > 70,
            seconds=120,
        )
        for _ in range(ASKED + 2):
            model.ask("What is the capital of France?")
        message = model.wait("Degraded", "True", "SLOLatency", seconds=45)
        found = re.fullmatch(r"p50 of TTFT (\S+) s > 0\.001 s over 1m, (\d+) requests", message)
        assert found, message
        assert float(found[1]) < 60
        assert ASKED <= int(found[2]) <= ASKED + 2
        assert (prometheus.number('sum(allod_prometheus_queries_total{result="answered"})') or 0) >= 3
        assert prometheus.number("sum(allod_scrapes_total)") is None, "no pod is asked for its counters"
        assert model.condition("Ready")["status"] == "True", "there is nobody else to serve"
    prometheus.end()
