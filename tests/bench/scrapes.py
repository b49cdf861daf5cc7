"""What it costs to hold SLOs against a thousand pods: to scan a page, to ask for it, to remember what it said."""

from __future__ import annotations

import asyncio
import resource
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from allod.adapters.engine import HEADERS, EnginePages, reading
from allod.api.slo import Slo
from allod.domain.manifest import Ref, ref
from allod.domain.serving.health.counts import Counts
from allod.domain.serving.health.windows import Reading, Track
from allod.runtime.measures import PERIOD
from allod.runtime.operator import SCRAPERS
from allod.runtime.scrapes import Scrapes
from bench.enginepages import VERSIONS, addresses, engines, page
from bench.publication import Figure, publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from allod.api.slo import Metric
    from allod.domain.manifest import Manifest

PODS = 1000
WARM_SECONDS, SECONDS = 22, 40
TRACKS = 20
SLOS = (
    Slo.model_validate({"name": "errors", "metric": "ErrorRatio", "threshold": "0.01", "window": "2m"}),
    Slo.model_validate({"name": "ttft", "metric": "TTFTSeconds", "quantile": "0.99", "threshold": "2.5", "window": "5m"}),
)
NONE = Reading(Counts())
METRICS: tuple[Metric, ...] = ("TTFTSeconds",)


def best(work: Callable[[], object], times: int) -> float:
    """Seconds: the best of many, because everything else only adds."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took)


def parsed(text: str) -> int:
    """By the full parser."""
    return sum(len(family.samples) for family in text_string_to_metric_families(text))


class Scanned:
    """The engines' pages, on the port of this bench."""

    def __init__(self, pages: EnginePages, port: int) -> None:
        self._pages, self._port = pages, port
        self.answers = 0

    async def reading(self, address: str, _port: int, metrics: Iterable[Metric]) -> Reading:
        found = await self._pages.reading(address, self._port, metrics)
        self.answers += 1
        return found


class ThrownAway:
    """The same pages, fetched and not looked at."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session, self._port = session, port
        self.answers = 0

    async def reading(self, address: str, _port: int, _metrics: Iterable[Metric]) -> Reading:
        async with self._session.get(f"http://{address}:{self._port}/metrics", headers=HEADERS) as answer:
            await answer.read()
        self.answers += 1
        return NONE


def pod(number: int, address: str) -> Manifest:
    """One that serves; two pods make a revision."""
    status: dict[str, Any] = {"podIP": address, "conditions": [{"type": "Ready", "status": "True"}]}
    labels = {"allod.dev/revision": "5b21aa0c", "allod.dev/model": f"m{number // 2}"}
    meta = {"name": f"m{number // 2}-5b21aa0c-{number % 2}", "namespace": "bench", "uid": str(number), "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": status}


async def scraped(pages: Scanned | ThrownAway) -> tuple[float, float]:
    """Seconds of CPU per answer, and answers a second, with all pods watched."""
    pods: dict[Ref, Manifest] = {ref(each): each for each in (pod(*one) for one in enumerate(addresses(PODS)))}
    scrapes = Scrapes(pages, pods.get, lambda _pod: None)
    tasks = [asyncio.create_task(scrapes.run()) for _ in range(SCRAPERS)]
    for one, other in zip(*[iter(pods.values())] * 2, strict=True):
        scrapes.of((one, other), SLOS)
    await asyncio.sleep(WARM_SECONDS)
    answers, cpu, began = pages.answers, time.process_time(), time.perf_counter()
    await asyncio.sleep(SECONDS)
    answers, cpu, took = pages.answers - answers, time.process_time() - cpu, time.perf_counter() - began
    for task in tasks:
        task.cancel()
    return cpu / answers, answers / took


async def both(port: int) -> tuple[float, float, float]:
    """Seconds of CPU per answer, answers a second, and the seconds of an answer that is thrown away."""
    pages = EnginePages()
    scanned, rate = await scraped(Scanned(pages, port))
    await pages.close()
    async with aiohttp.ClientSession() as session:
        bare, _ = await scraped(ThrownAway(session, port))
    return scanned, rate, bare


def remembered(keep: float) -> float:
    """KiB per pod whose counters never rest."""
    readings = [reading(page(version), METRICS) for version in range(VERSIONS)]
    tracemalloc.start()
    tracks = [Track() for _ in range(TRACKS)]
    # Longer than any window, each look with numbers of its own.
    for look in range(round(keep / PERIOD) + VERSIONS):
        for index in range(TRACKS):
            tracks[index] = tracks[index].heard(look * PERIOD, readings[look % VERSIONS], keep)
    bytes_, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return bytes_ / TRACKS / 1024


def figures() -> list[Figure]:
    """All of them, in one run."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    text = page(1)
    scan, parse = best(lambda: reading(text, METRICS), 500), best(lambda: parsed(text.decode()), 20)
    with engines(PODS) as port:
        scanned, rate, bare = asyncio.run(both(port))
    beside = f"to fetch the page by aiohttp at the same pace and throw it away: {bare * 1e6:.0f} us"
    return [
        Figure(f"numbers and one histogram of a page of {len(text) // 1000} kB", round(scan * 1e6), "us"),
        Figure("the same, over prometheus_client's parser", round(scan / parse, 3), "x", 0.1, f"the parser: {parse * 1e3:.1f} ms"),
        Figure(f"CPU for one look at a pod, {PODS} pods asked every {PERIOD:g} s", round(scanned * 1e6), "us", None, beside),
        Figure("of it not the fetching: to scan, add up and judge", round((scanned - bare) * 1e6), "us", 1000),
        Figure(f"{PODS} pods, percent of a core", round(scanned * rate * 100, 1), "%", 20, f"{rate:.0f} answers a second"),
        Figure("memory for a pod, window of 5 minutes", round(remembered(300)), "KiB"),
        Figure("memory for a pod, window of an hour", round(remembered(3600)), "KiB"),
    ]


if __name__ == "__main__":
    print(publish("scrapes", figures()))
