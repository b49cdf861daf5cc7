"""What a running engine says of its own memory, read from the metrics page that it serves anyway."""

from __future__ import annotations

import re

import aiohttp

from allod.adapters.errors import Unavailable
from allod.domain.serving.seen import EngineFigures

TIMEOUT = aiohttp.ClientTimeout(total=5, connect=2)
"""Seconds. The page is 60 kB and comes in milliseconds; a busy engine may take a second."""

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
        host = f"[{address}]" if ":" in address else address
        try:
            async with self._session.get(f"http://{host}:{port}/metrics") as answer:
                page = await answer.read() if answer.ok else b""
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise Unavailable(f"metrics of the engine at {address}: {problem or type(problem).__name__}") from problem
        return cache_figures(page)


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
