"""What it costs to learn of a thousand pods' counters from a real Prometheus, which scrapes as many real pages."""

from __future__ import annotations

import asyncio
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from allod.adapters.promanswer import scraped
from allod.adapters.prometheus import Access, Prometheus
from allod.domain.manifest import Ref, ref
from allod.render.monitoring.counted import question
from allod.runtime.measures import PERIOD
from allod.runtime.queries import Queries
from allod.runtime.shares import SHARE
from bench.enginepages import addresses, engines
from bench.publication import Figure, publish
from bench.scrapes import METRICS, PODS, SLOS, pod
from support.loneprometheus import running

if TYPE_CHECKING:
    from allod.domain.manifest import Manifest
    from support.loneprometheus import LonePrometheus

INTERVAL = "15s"
"""As our PodMonitor asks for."""
WARM_SECONDS, SECONDS = 45, 60
ALL = ("TTFTSeconds", "InterTokenSeconds", "EndToEndSeconds")
TICK = 0.005


def config(port: int) -> str:
    """Every pod with the labels that its PodMonitor gives it."""
    targets = [(pod(*one)["metadata"], one[1]) for one in enumerate(addresses(PODS))]
    scrapes = [{"targets": [f"{address}:{port}"], "labels": _labels(meta)} for meta, address in targets]
    return yaml.safe_dump({"global": {"scrape_interval": INTERVAL}, "scrape_configs": [{"job_name": "pods", "static_configs": scrapes}]})


def _labels(meta: Manifest) -> dict[str, str]:
    model, revision = (meta["labels"][f"allod.dev/{name}"] for name in ("model", "revision"))
    return {"namespace": meta["namespace"], "pod": meta["name"], "allod_dev_model": model, "allod_dev_revision": revision}


async def looked(prometheus: LonePrometheus) -> tuple[float, float]:
    """Part of a core, and the longest stretch of work in seconds of CPU, with all pods watched."""
    pods: dict[Ref, Manifest] = {ref(each): each for each in (pod(*one) for one in enumerate(addresses(PODS)))}
    source = Prometheus(Access(prometheus.url))
    queries = Queries(source, pods.get, lambda _pod: None)
    for one, other in zip(*[iter(pods.values())] * 2, strict=True):
        queries.of((one, other), SLOS)
    task = asyncio.create_task(queries.run())
    await asyncio.sleep(WARM_SECONDS)
    found = queries.measurement(tuple(pods.values()))
    assert found is not None
    assert len(found.known) == PODS, found
    cpu, began, longest = time.process_time(), time.perf_counter(), 0.0
    while time.perf_counter() - began < SECONDS:
        at = time.thread_time()  # of the processor: what else runs on the machine is not in it
        await asyncio.sleep(TICK)
        longest = max(longest, time.thread_time() - at)
    used, took = time.process_time() - cpu, time.perf_counter() - began
    task.cancel()
    await source.close()
    return used / took, longest


async def asked(prometheus: LonePrometheus, metrics: tuple[Any, ...]) -> tuple[float, int, float]:
    """Median seconds until one share is answered, bytes of the answer, and seconds of CPU to read it."""
    models = {(meta["namespace"], meta["labels"]["allod.dev/model"]) for meta in (pod(n, "")["metadata"] for n in range(SHARE))}
    text, times, reading = question(models, metrics, {}), [], []
    body = b""
    for _ in range(15):
        began = time.perf_counter()
        body = await asyncio.to_thread(prometheus.ask, text)
        times.append(time.perf_counter() - began)
        began = time.process_time()
        found = scraped(json.loads(body)["data"]["result"], metrics)
        reading.append(time.process_time() - began)
        assert len(found) == SHARE
    return sorted(times)[len(times) // 2], len(body), min(reading)


async def all_of(prometheus: LonePrometheus) -> tuple[Any, ...]:
    """The numbers of both."""
    load, longest = await looked(prometheus)
    return load, longest, await asked(prometheus, METRICS), await asked(prometheus, ALL)


def figures() -> list[Figure]:
    """All of them, in one run."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with engines(PODS) as port, tempfile.TemporaryDirectory() as folder, running(Path(folder), config(port), PODS) as prometheus:
        load, longest, one, three = asyncio.run(all_of(prometheus))
    shares = [
        Figure(
            f"one question for {SHARE} pods with {many}, until it is answered",
            round(took * 1e3),
            "ms",
            None,
            f"{size // 1000} kB, of which the operator makes readings in {read * 1e3:.0f} ms",
        )
        for many, (took, size, read) in {"one histogram": one, "three histograms": three}.items()
    ]
    return [
        Figure(f"{PODS} pods, asked every {PERIOD:g} s, percent of a core", round(load * 100, 1), "%", 10),
        Figure(
            "the longest that it keeps the event loop busy at a stretch",
            round(longest * 1e3),
            "ms",
            250,
            "above 250 ms heartbeats of that time do not count",
        ),
        *shares,
    ]


if __name__ == "__main__":
    print(publish("prometheus", figures()))
