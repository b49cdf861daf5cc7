"""From a hung worker behind a live vLLM server to the first answer of the standby: real vLLM on CPUs, on real nodes."""

from __future__ import annotations

import signal
import statistics
import sys
import threading
import time

from bench.failover import Client, Stage, asking, settle, stage
from bench.publication import Figure, publish
from box import containers, waiting
from cluster.models import smol
from cluster.vllmnode import prepared

TRIALS = 20
HANG = 5
"""Seconds, of health.hangTimeout: what is measured beyond it is ours."""
START = 400
"""Seconds that vLLM may take to start on two cores."""
GRACE = 3


def trial(on: Stage, client: Client) -> tuple[float, float]:
    """Seconds from the stop of the worker to the first answer of the standby, and until a client that waits on the hung pod is freed."""
    name = on.model.pods()[0]["metadata"]["name"]
    home = on.model.pods()[0]["status"]["podIP"]
    workers = on.box.processes(f"{on.space.name}/{name}", "engine", match="VLLM::Worker")
    freed: list[float] = []
    began = time.monotonic()
    containers.send(workers, signal.SIGSTOP)
    with on.inside("bench.waiter", home, "chat") as waiter:
        reader = threading.Thread(target=lambda: freed.append(float((waiter.stdout or sys.stdin).readline())), daemon=True)
        reader.start()
        waiting.until("the standby answers", lambda: client.first("standby", began) is not None, seconds=120)
        reader.join(60)
    return client.first("standby", began) or 0.0, freed[0] - began


def figures() -> list[Figure]:
    """All of them, in one run."""
    health = {"hangTimeout": f"{HANG}s", "startupTimeout": "10m", "drainTimeout": "1s", "failover": {"holdFor": "2s"}}
    primary = smol("node1", standby={"modelDeploymentRef": {"name": "small"}}, health=health)
    primary["metadata"]["name"] = "chat"
    with stage("bench-hang", primary, lambda box: prepared(box, "node1"), START) as on, asking(on) as client:
        waiting.until("the client gets answers", lambda: client.last() == "home", seconds=60)
        found: list[tuple[float, float]] = []
        for _ in range(TRIALS):
            settle(on, client, seconds=START)
            found.append(trial(on, client))
            print(found[-1], file=sys.stderr, flush=True)
    times, freed = [took for took, _ in found], [took for _, took in found]
    beside = f"worst {max(times):.2f} s; health.hangTimeout is {HANG} s of it"
    return [
        Figure(f"engine hung behind a live vLLM server, median of {TRIALS}", round(statistics.median(times), 2), "s", HANG + GRACE, beside),
        Figure("a client that waits on the hung engine is freed after, worst", round(max(freed), 2), "s", None),
    ]


if __name__ == "__main__":
    print(publish("hang", figures()))
