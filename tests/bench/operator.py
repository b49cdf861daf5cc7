"""How quick and how quiet the operator is, on a real API server with pretended nodes, with the rights of its chart."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from allod.adapters.resources import resource
from bench.publication import ROOT, Figure, publish
from box.controlplane import control_plane
from support import audit
from support.models import Models
from support.operator import USER, Operator, grant, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODELS = 30
EDITS = 100
SWITCHES = 20
QUIET_SECONDS = 600
PAUSE = 0.002
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
SERVICES, STATEFULSETS, PODS = resource("v1", "Service"), resource("apps/v1", "StatefulSet"), resource("v1", "Pod")


@contextmanager
def site(folder: Path) -> Iterator[tuple[Models, Operator, Path]]:
    """A namespace, the operator that leads, and the API server's audit log."""
    with control_plane(folder / "plane", fake_nodes=4) as plane:
        log = audit.audited(plane)
        plane.kubectl("apply", "--server-side", f"--filename={ROOT}/crds")
        plane.kubectl("wait", "--for=condition=Established", "crd/modeldeployments.allod.dev", "--timeout=30s")
        operator = Operator(grant(plane, folder), folder)
        with running(operator):
            operator.wait_leading()
            yield Models(plane, "bench"), operator, log


def seconds(true: Callable[[], bool], limit: float = 60) -> float:
    """How long until it is so, looked at every 2 ms."""
    began = time.perf_counter()
    while not true():
        if time.perf_counter() - began > limit:
            raise TimeoutError(f"not so after {limit} s")
        time.sleep(PAUSE)
    return time.perf_counter() - began


def edits(models: Models) -> tuple[list[float], list[float]]:
    """Seconds from the answer to an edit of `replicas` until the StatefulSet has it; and for the same patch sent to it directly."""
    name = models.all(STATEFULSETS)[0]["metadata"]["name"]
    owner = models.get(name, STATEFULSETS)["metadata"]["labels"]["allod.dev/model"]
    took, direct = [], []
    for number in range(EDITS):
        models.edit(owner, replicas=2 + number % 2)
        took.append(seconds(lambda number=number: models.get(name, STATEFULSETS)["spec"]["replicas"] == 2 + number % 2))  # type: ignore[misc]
        models.until("the status followed", lambda number=number: models.get(owner)["status"].get("replicas") == 2 + number % 2)
        began = time.perf_counter()
        models.patch(STATEFULSETS, name, {"metadata": {"annotations": {"bench": str(number)}}})
        models.get(name, STATEFULSETS)
        direct.append(time.perf_counter() - began)
    return took, direct


def switches(models: Models, owner: str) -> list[float]:
    """Seconds from a new revision's first pod seen ready until the Service points at it."""
    models.edit(owner, replicas=1)
    models.wait_settled(owner)
    took = []
    for number in range(SWITCHES):
        old = models.revision(owner)
        models.edit(owner, engine={"maxModelLen": 1024 + number})
        seconds(lambda old=old: bool(_ready(models, owner) - {old}))  # type: ignore[misc]
        took.append(seconds(lambda old=old: models.get(owner, SERVICES)["spec"]["selector"]["allod.dev/revision"] != old))  # type: ignore[misc]
        models.wait_settled(owner)
    return took


def _ready(models: Models, owner: str) -> set[str]:
    mine = (pod for pod in models.all(PODS) if pod["metadata"]["labels"]["allod.dev/model"] == owner)
    return {
        pod["metadata"]["labels"]["allod.dev/revision"]
        for pod in mine
        if any(each["type"] == "Ready" and each["status"] == "True" for each in pod.get("status", {}).get("conditions", ()))
    }


def writes(log: Path) -> list[str]:
    """Writes of the operator so far, each with what it wrote; not those of its lease."""
    told = (each for each in audit.events(log, USER) if each["verb"] in WRITES and each.get("objectRef", {}).get("resource") != "leases")
    return [f"{each['requestReceivedTimestamp']} {each['verb']} {each['requestURI']}" for each in told]


def memory(operator: Operator) -> float:
    """MiB resident."""
    status = Path(f"/proc/{operator.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def figures() -> list[Figure]:
    """All of them, in one run."""
    with tempfile.TemporaryDirectory() as folder, site(Path(folder)) as (models, operator, log):
        empty = memory(operator)
        began = time.perf_counter()
        for number in range(MODELS):
            models.create(f"m{number}")
        for number in range(MODELS):
            models.wait_settled(f"m{number}", 120)
        all_settled = time.perf_counter() - began
        took, direct = edits(models)
        switched = switches(models, "m1")
        print(f"nothing changes for {QUIET_SECONDS} s ...", file=sys.stderr, flush=True)
        time.sleep(5)
        before = len(writes(log))
        time.sleep(QUIET_SECONDS)
        quiet, full = writes(log)[before:], memory(operator)
        print("\n".join(["written meanwhile:", *(quiet or ["nothing"])]), file=sys.stderr, flush=True)
    p99, p50 = statistics.quantiles(took, n=100)[98], statistics.median(took)
    bare = f"the same patch sent to the StatefulSet directly, median: {statistics.median(direct) * 1000:.0f} ms"
    return [
        Figure(f"edit of replicas to the StatefulSet written, p99 of {EDITS}", round(p99 * 1000), "ms", None, bare),
        Figure("the same, median", round(p50 * 1000), "ms", None, bare),
        Figure(f"first pod seen ready to the Service moved, median of {SWITCHES}", round(statistics.median(switched) * 1000), "ms"),
        Figure(f"{MODELS} models of 2 pods, from the first create to all serving", round(all_settled, 1), "s"),
        Figure(f"writes of the operator in {QUIET_SECONDS} s of an unchanged world, {MODELS} models", len(quiet), "writes", 0),
        Figure("memory of the operator, no model", round(empty), "MiB"),
        Figure(f"memory of the operator, {MODELS} models, idle", round(full), "MiB"),
    ]


if __name__ == "__main__":
    print(publish("operator", figures()))
