"""What a running engine says of itself, read from the metrics page that it serves anyway."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import aiohttp

from allod.adapters.errors import Unavailable
from allod.adapters.promtext import LARGEST, Page, label_values
from allod.adapters.readings import as_reading
from allod.domain.serving.engine.metrics import COUNTERS, HISTOGRAMS, KV_USAGE, START, WAITING
from allod.domain.serving.seen import EngineFigures

if TYPE_CHECKING:
    from collections.abc import Iterable

    from allod.api.slo import Metric
    from allod.domain.serving.health.windows import Reading

TIMEOUT = aiohttp.ClientTimeout(total=5, connect=2)
"""Seconds. The page is 60 kB and comes in milliseconds; a busy engine may take a second."""
SOON = aiohttp.ClientTimeout(total=2)
"""Seconds, for a page that is asked for again and again: the next one is as good."""
HEADERS = {"accept-encoding": "identity"}
"""The network is cheap where we are; to pack and unpack a page costs more than to scan it."""

LARGEST_PAGE = 4 * 2**20
"""Bytes. A page is 60 kB for each engine of a pod; what is larger is no page, and would be read and searched by the one operator of all."""
PLAIN = ("", "identity")
"""Content encodings that we asked for. To unpack another one is to let a pod choose how much memory we spend."""
LONGEST_INFO = 16384
"""Bytes of the one line that describes the cache: 1,000 in vLLM 0.32."""

_INFO = re.compile(rb"^vllm:cache_config_info\{(.*)\}", re.MULTILINE)


class EnginePages:
    """Reads engines' metrics pages over kept connections. Close it when done."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(timeout=TIMEOUT, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())

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
        """Status and body of the page. Unavailable also when it is elsewhere, packed, or larger than a page is."""
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{port}/metrics"
        try:
            async with self._session.get(url, timeout=patience, headers=HEADERS, allow_redirects=False) as answer:
                if 300 <= answer.status < 400:  # noqa: PLR2004  # HTTP's redirects
                    raise Unavailable(f"metrics of the engine at {address}: status {answer.status}, and nobody follows it elsewhere")
                if (packed := answer.headers.get("content-encoding", "")) not in PLAIN:
                    raise Unavailable(f"metrics of the engine at {address}: packed as {packed[:40]}, which was not asked for")
                return answer.status, await _body(answer, address)
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise Unavailable(f"metrics of the engine at {address}: {str(problem) or type(problem).__name__}") from problem


async def _body(answer: aiohttp.ClientResponse, address: str) -> bytes:
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > LARGEST_PAGE:
            raise Unavailable(f"metrics of the engine at {address}: more than {LARGEST_PAGE} bytes")
    return bytes(body)


def reading(text: bytes, metrics: Iterable[Metric]) -> Reading:
    """Numbers of a vLLM metrics page, summed over the engines of the pod."""
    page = Page(text)
    return as_reading(
        {name: page.total(lines) for name, lines in COUNTERS.items()},
        {metric: page.buckets(*HISTOGRAMS[metric]) for metric in metrics},
        started=next(iter(page.values(START)), None),
        waiting=sum(page.values(WAITING)),
        kv_usage=max(page.values(*KV_USAGE), default=0.0),
    )


def cache_figures(page: bytes) -> EngineFigures | None:
    """The KV cache as vLLM describes it in `vllm:cache_config_info` (0.32: labels `kv_cache_size_tokens`, `kv_cache_max_concurrency`).

    With data parallelism there is a line for each engine: their sum is what the pod can hold.
    """
    tokens, concurrency = 0, 0.0
    for line in _INFO.findall(page):
        labels = label_values(line) if len(line) <= LONGEST_INFO else {}
        try:
            tokens += int(labels["kv_cache_size_tokens"])
            concurrency += float(labels["kv_cache_max_concurrency"])
        except (KeyError, ValueError):  # an older engine writes no figure, or the word None
            return None
    # The API server refuses a whole status for one number that cannot be.
    return EngineFigures(tokens, concurrency) if 0 < tokens <= LARGEST and 0 <= concurrency <= LARGEST else None
