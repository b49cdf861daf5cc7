"""Kubelet's probes, all from the three time-outs of spec.health."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allod.api.modeldeployment import Health

PERIOD = 1
"""Seconds between looks at readiness: with two failures a dead engine leaves the endpoints in 0.2 to 2 s (measured)."""
LIVE_PERIOD = 5
END_SECONDS = 10
"""Grace when a probe ends the engine: one that hangs has nothing to drain."""


def probes(health: Health, *, ready: str, live: str, slowest: int) -> dict[str, Any]:
    """Three probes. `slowest`: missed looks, 5 s each, that liveness forgives at least.

    Startup ends the engine after startupTimeout. Readiness is quick, because a pod comes back as quickly. Liveness is slow, because a
    restart loads the model anew: a saturated API server misses deadlines of 2 s and is healthy.
    """
    return {
        "startupProbe": {
            "httpGet": {"path": ready, "port": "http"},
            "periodSeconds": PERIOD,
            "timeoutSeconds": 1,
            "failureThreshold": max(1, math.ceil(health.startup_timeout.seconds / PERIOD)),
            "terminationGracePeriodSeconds": END_SECONDS,
        },
        "readinessProbe": {
            "httpGet": {"path": ready, "port": "http"},
            "periodSeconds": PERIOD,
            "timeoutSeconds": 1,
            "failureThreshold": 2,
        },
        "livenessProbe": {
            "httpGet": {"path": live, "port": "http"},
            "periodSeconds": LIVE_PERIOD,
            "timeoutSeconds": 5,
            "failureThreshold": max(slowest, math.ceil(health.hang_timeout.seconds / LIVE_PERIOD)),
            "terminationGracePeriodSeconds": END_SECONDS,
        },
    }
