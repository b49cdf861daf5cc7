"""How quick and how quiet the operator is, on a real API server with pretended nodes, with the rights of its chart."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from allod.adapters.resources import resource
from bench import endpoints
from bench.publication import ROOT, Figure, publish
from box import kwok
from box.controlplane import control_plane
from support import audit
from support.models import Models
from support.operator import USER, Operator, grant, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODELS = 30
EDITS = 100
REVISIONS = 50
QUIET_SECONDS = 600
PAUSE = 0.002
SERVICES, STATEFULSETS = resource("v1", "Service"), resource("apps/v1", "StatefulSet")


@contextmanager
def site(folder: Path) -> Iterator[tuple[Models, Operator, Path]]:
    """A namespace, the operator that leads, and the API server's audit log."""
    with control_plane(folder / "plane", fake_nodes=4, pods=kwok.LISTED) as plane:
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


@dataclass
class Revisions:
    """Seconds of each new revision of one model, from one moment to the next."""

    written: list[float] = field(default_factory=list)
    """From the answer to an edit of engine.maxModelLen until its StatefulSet is there."""
    bare: list[float] = field(default_factory=list)
    """From sending a StatefulSet like that to the API server until it is there."""
    listed: list[float] = field(default_factory=list)
    """From its pod's Ready until the EndpointSlice of the model's Service has it."""
    plain: list[float] = field(default_factory=list)
    """The same of a Service that nobody moves: the EndpointSlice controller's own part."""


def revisions(models: Models, owner: str) -> Revisions:
    """Make them one after the other."""
    models.edit(owner, replicas=1)
    models.wait_settled(owner)
    api, took = models.plane.api, Revisions()
    api.send("POST", SERVICES.path(models.namespace), endpoints.plain(owner))
    seen = endpoints.Endpoints(api, models.namespace)
    of_owner = f"{STATEFULSETS.path(models.namespace)}?labelSelector=allod.dev/model={owner}"
    for number in range(REVISIONS):
        old = f"{owner}-{models.revision(owner)}"
        models.edit(owner, engine={"maxModelLen": 1024 + number})
        took.written.append(seconds(lambda old=old: {each["metadata"]["name"] for each in api.items(of_owner)} != {old}))  # type: ignore[misc]
        models.wait_settled(owner)
        pod = f"{owner}-{models.revision(owner)}-0"
        models.until("both Services list it", lambda pod=pod: {(owner, pod), ("plain", pod)} <= seen.listed.keys())
        took.listed.append(seen.after_ready(owner, pod))
        took.plain.append(seen.after_ready("plain", pod))
        took.bare.append(_made_directly(models, f"bare-{number}"))
    return took


def _made_directly(models: Models, name: str) -> float:
    """Seconds for a StatefulSet of no pods, which is deleted again."""
    like = models.all(STATEFULSETS)[0]
    spec = like["spec"] | {"replicas": 0, "selector": {"matchLabels": {"app": name}}}
    spec["template"] = spec["template"] | {"metadata": {"labels": {"app": name}}}
    body = {"apiVersion": like.get("apiVersion", "apps/v1"), "kind": "StatefulSet", "metadata": {"name": name}, "spec": spec}
    began = time.perf_counter()
    models.plane.api.send("POST", STATEFULSETS.path(models.namespace), body)
    models.get(name, STATEFULSETS)
    took = time.perf_counter() - began
    models.delete(STATEFULSETS, name)
    return took


def writes(log: Path) -> list[str]:
    """Writes of the operator so far, each with what it wrote; not those of its lease."""
    told = (
        each for each in audit.events(log, USER) if each["verb"] in audit.WRITES and each.get("objectRef", {}).get("resource") != "leases"
    )
    return [f"{each['requestReceivedTimestamp']} {each['verb']} {each['requestURI']}" for each in told]


def ms(measured: float) -> int:
    """Of seconds."""
    return round(measured * 1000)


def p99(measured: list[float]) -> int:
    """Milliseconds; of fewer than a hundred it is nearly the worst, and never beyond it."""
    return ms(statistics.quantiles(measured, n=100, method="inclusive")[98])


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
        made = revisions(models, "m1")
        print(f"nothing changes for {QUIET_SECONDS} s ...", file=sys.stderr, flush=True)
        time.sleep(5)
        before = len(writes(log))
        time.sleep(QUIET_SECONDS)
        quiet, full = writes(log)[before:], memory(operator)
        print("\n".join(["written meanwhile:", *(quiet or ["nothing"])]), file=sys.stderr, flush=True)
    bare = f"the same patch sent to the StatefulSet directly, median: {ms(statistics.median(direct))} ms"
    posted = f"a StatefulSet made directly, median: {ms(statistics.median(made.bare))} ms"
    alone = f"a Service of the same pods that nobody moves, median: {ms(statistics.median(made.plain))} ms"
    listed = "pod Ready to the EndpointSlice of the model's Service"
    return [
        Figure(
            f"edit of engine.maxModelLen to the new revision's StatefulSet written, p99 of {REVISIONS}",
            p99(made.written),
            "ms",
            None,
            posted,
        ),
        Figure("the same, median", ms(statistics.median(made.written)), "ms", None, posted),
        Figure(f"edit of replicas to the StatefulSet written, p99 of {EDITS}", p99(took), "ms", None, bare),
        Figure("the same, median", ms(statistics.median(took)), "ms", None, bare),
        Figure(f"{listed}, median of {REVISIONS} new revisions", ms(statistics.median(made.listed)), "ms", None, alone),
        Figure("the same, p99", p99(made.listed), "ms", None, alone),
        Figure(f"{MODELS} models of 2 pods, from the first create to all serving", round(all_settled, 1), "s"),
        Figure(f"writes of the operator in {QUIET_SECONDS} s of an unchanged world, {MODELS} models", len(quiet), "writes", 0),
        Figure("memory of the operator, no model", round(empty), "MiB"),
        Figure(f"memory of the operator, {MODELS} models, idle", round(full), "MiB"),
    ]


if __name__ == "__main__":
    print(publish("operator", figures()))
