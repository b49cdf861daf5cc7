"""A thousand engines' metrics pages on loopback, in a process of their own, so that its CPU time is not the operator's."""

from __future__ import annotations

import asyncio
import multiprocessing
import re
import resource
import socket
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

REAL = Path(__file__).parents[1] / "unit/adapters/pages/vllm-0.32.0.txt"
NOISE = ("queue_time", "inference_time", "prefill_time", "decode_time", "prompt_tokens", "generation_tokens", "max_tokens", "params_n") * 2
SIZE = 55_000
"""Bytes of the whole page from which the real one here was cut."""
KEEPALIVE = 5.0
"""Seconds after which vLLM closes a quiet connection (VLLM_HTTP_TIMEOUT_KEEP_ALIVE): each look of 10 s makes a new one."""
COUNTED = re.compile(r"^(vllm:\w+_(?:bucket|count|total)|http_requests_total)(\{.*\}) (\d+)\.0$", re.MULTILINE)
VERSIONS = 60


def page(version: int) -> bytes:
    """The real page, its cut-off part made up by histograms of other names, with counts that grow with the version."""
    real = REAL.read_text()
    family = real[real.index("# HELP vllm:e2e") : real.index("# HELP http")]
    noise = "".join(family.replace("vllm:e2e_request_latency", f"vllm:request_{name}") for name in NOISE)
    before = noise[: (SIZE - len(real)) // 2].rpartition("\n")[0]
    after = noise[len(before) + 1 : SIZE - len(real)].rpartition("\n")[0]
    text = f"{before}\n{real}{after}\n"
    return COUNTED.sub(lambda found: f"{found[1]}{found[2]} {int(found[3]) * (version + 1)}.0", text).encode()


def addresses(count: int) -> list[str]:
    """Of so many pods."""
    return [f"127.1.{number // 250}.{number % 250 + 1}" for number in range(count)]


@contextmanager
def engines(count: int) -> Iterator[int]:
    """The port on which all of them listen."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_main, args=(count, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def _main(count: int, told: Connection) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_serve(count, told))


async def _serve(count: int, told: Connection) -> None:
    pages = [page(version) for version in range(VERSIONS)]

    async def metrics(_: web.Request) -> web.Response:
        # One version a second, so that no two looks at a pod see the same.
        return web.Response(body=pages[int(time.monotonic()) % VERSIONS], content_type="text/plain")

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=KEEPALIVE)
    await runner.setup()
    first, *others = addresses(count)
    listening = [socket.create_server((first, 0))]
    port = listening[0].getsockname()[1]
    listening += [socket.create_server((address, port)) for address in others]
    for each in listening:
        await web.SockSite(runner, each).start()
    told.send(port)
    await asyncio.Event().wait()
