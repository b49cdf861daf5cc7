"""The real watchdog behind uvicorn, in a process of its own, as the operator hears it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from unit.adapters.peer import ear, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from unit.adapters.peer import Ear


@contextlib.asynccontextmanager
async def engine() -> AsyncIterator[tuple[asyncio.subprocess.Process, Ear, int]]:
    """An engine that serves, and the ear that hears it."""
    port = free_port()
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "ALLOD_HANG_SECONDS": "1"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "unit.engine.served", str(port), env=env)
    try:
        async with ear("127.0.0.1", port) as listens:
            while listens.heartbeat.beat.state != "Serving":
                listens.heartbeat.hurry(proven=False)
                await asyncio.sleep(0.1)
            yield process, listens, port
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def post(port: int, path: str) -> None:
    """Send it; nobody waits for the answer."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".encode())
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.close()


async def test_a_killed_engine_is_gone() -> None:
    async with engine() as (process, listens, _):
        process.kill()
        await listens.until("Gone")


async def test_a_stopped_engine_is_silent_until_it_goes_on() -> None:
    async with engine() as (process, listens, _):
        process.send_signal(signal.SIGSTOP)
        await listens.until("Silent")
        process.send_signal(signal.SIGCONT)
        await listens.until("Serving")


async def test_a_hang_and_its_end_are_pushed() -> None:
    async with engine() as (_, listens, port):
        await post(port, "/v1/hang")
        await listens.until("Faulty")
        assert listens.heartbeat.beat.message.startswith("hung: no engine step for 1 s while a request waits; requests in flight: ")
        await post(port, "/v1/heal")
        await listens.until("Serving")


async def test_an_engine_that_was_told_to_stop_drains() -> None:
    async with engine() as (process, listens, _):
        process.terminate()
        await listens.until("Draining")
        await process.wait()
        await asyncio.sleep(0.5)
        assert listens.heartbeat.beat.message == "draining: the server was told to stop"
        assert listens.states[-1] == "Draining"
