"""What a running engine says of itself, read from the metrics page that it serves anyway."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import aiohttp

from allod.adapters.errors import Unavailable
from allod.adapters.promtext import Page
from allod.domain.serving.engine.metrics import COUNTERS, HISTOGRAMS, KV_USAGE, START, WAITING
from allod.domain.serving.health.counts import Counts
from allod.domain.serving.health.windows import Reading
from allod.domain.serving.seen import EngineFigures

if TYPE_CHECKING:
    from collections.abc import Iterable

    from allod.api.slo import Metric

TIMEOUT = aiohttp.ClientTimeout(total=5, connect=2)
"""Seconds. The page is 60 kB and comes in milliseconds; a busy engine may take a second."""
SOON = aiohttp.ClientTimeout(total=2)
"""Seconds, for a page that is asked for again and again: the next one is as good."""
HEADERS = {"accept-encoding": "identity"}
"""The network is cheap where we are; to pack and unpack a page costs more than to scan it."""

_INFO = re.compile(rb"^vllm:cache_config_info\{(.*)\}", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class EnginePages:
    """Reads engines' metrics pages over kept connections. Close it when done."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(timeout=TIMEOUT)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def figures(self, address: str, port: int) -> EngineFigures | None:
        """Figures of the engine at an address. None when it publishes none (llama.cpp). Unavailable when it does not answer."""
        status, page = await self._page(address, port, TIMEOUT)
        return cache_figures(page if status < 400 else b"")  # noqa: PLR2004  # HTTP's errors begin there

    async def reading(self, address: str, port: int, metrics: Iterable[Metric]) -> Reading:
        """What the vLLM at an address has counted, latencies only of these metrics. Unavailable when it does not answer, or not so."""
        status, page = await self._page(address, port, SOON)
        if status != 200:  # noqa: PLR2004  # HTTP's OK
            raise Unavailable(f"metrics of the engine at {address}: status {status}")
        return reading(page, metrics)

    async def _page(self, address: str, port: int, patience: aiohttp.ClientTimeout) -> tuple[int, bytes]:
        host = f"[{address}]" if ":" in address else address
        try:
            async with self._session.get(f"http://{host}:{port}/metrics", timeout=patience, headers=HEADERS) as answer:
                return answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise Unavailable(f"metrics of the engine at {address}: {problem or type(problem).__name__}") from problem


def reading(text: bytes, metrics: Iterable[Metric]) -> Reading:
    """Numbers of a vLLM metrics page, summed over the engines of the pod."""
    page = Page(text)
    return Reading(
        Counts(
            {name: page.total(lines) for name, lines in COUNTERS.items()},
            {metric: found for metric in metrics if (found := page.buckets(*HISTOGRAMS[metric])).bounds},
        ),
        started=next(iter(page.values(START)), None),
        waiting=round(sum(page.values(WAITING))),
        kv_usage=max(page.values(*KV_USAGE), default=0.0),
    )


def cache_figures(page: bytes) -> EngineFigures | None:
    """The KV cache as vLLM describes it in `vllm:cache_config_info` (0.32: labels `kv_cache_size_tokens`, `kv_cache_max_concurrency`).

    With data parallelism there is a line for each engine: their sum is what the pod can hold.
    """
    tokens, concurrency = 0, 0.0
    for line in _INFO.findall(page):
        labels = dict(_LABEL.findall(line.decode()))
        try:
            tokens += int(labels["kv_cache_size_tokens"])
            concurrency += float(labels["kv_cache_max_concurrency"])
        except (KeyError, ValueError):  # an older engine writes no figure, or the word None
            return None
    return EngineFigures(tokens, concurrency) if tokens else None
