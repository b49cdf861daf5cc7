"""From a hung worker behind a live vLLM server to the first answer of the standby: real vLLM on CPUs, on real nodes."""

from __future__ import annotations

import signal
import statistics
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.failover import Client, Stage, asking, settle
from bench.publication import Figure, publish
from box import Box, busybox, containers, waiting
from box.image import model, vllm
from box.progress import Progress
from cluster.models import FOLDER, Model, chat, smol
from cluster.release import VALUES, Release
from cluster.space import Space, pod

if TYPE_CHECKING:
    from collections.abc import Iterator

TRIALS = 5
HANG = 5
"""Seconds, of health.hangTimeout: what is measured beyond it is ours."""
START = 400
"""Seconds that vLLM may take to start on two cores."""
GRACE = 3


@contextmanager
def stage() -> Iterator[Stage]:
    """vLLM on node1; its standby, the operator and the client on node2."""
    box = Box()
    mine = not box.running and box.up()
    try:
        with tempfile.TemporaryDirectory() as home:
            release = Release.install(box, Path(home))
            release.helm.upgrade(*VALUES, 'nodeSelector={"kubernetes.io/hostname":"node2"}', "--wait")
            _load(box)
            space = Space.make(box, "bench-hang")
            aside: dict[str, Any] = {"scheduling": {"nodeSelector": {"kubernetes.io/hostname": "node2"}}}
            standby = Model.apply(space, chat("small", model={**chat()["spec"]["model"], "aliases": ["chat"]}, **aside))
            health = {"hangTimeout": f"{HANG}s", "startupTimeout": "10m", "drainTimeout": "1s", "failover": {"holdFor": "2s"}}
            primary = smol("node1", standby={"modelDeploymentRef": {"name": "small"}}, health=health)
            primary["metadata"]["name"] = "chat"
            found = Model.apply(space, primary)
            standby.wait("Ready", "True")
            found.wait("Ready", "True", seconds=START)
            space.run(pod("client", nodeName="node2"))
            yield Stage(box, space, found, box.processes(f"{space.name}/client", "main")[0].pid)
            space.delete()
    finally:
        if mine:
            box.down()


def _load(box: Box) -> None:
    vllm.IMAGE.build(Progress())
    model.SAFETENSORS_FOLDER.build(Progress())
    box.load([busybox.image()])
    node = box.node("node1")
    node.load(vllm.IMAGE.path)
    node.space.run("mkdir", "-p", FOLDER)
    node.space.run("cp", "-rL", f"{model.SAFETENSORS_FOLDER.path}/.", FOLDER)
    node.space.run("chmod", "-R", "a+rX", FOLDER)


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
    with stage() as on, asking(on) as client:
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
