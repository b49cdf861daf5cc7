"""What the watchdog costs and how quick it is, in real vLLM on this machine."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.publication import Figure, publish
from support.vllm import Server, Stream, serving
from watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable

    from allod_exchange import Message, Receive, Send

HALVES = Path(__file__).with_name("halves.py")
THRESHOLD = 2
"""Seconds without a step for the server whose hangs are timed; the smallest that a loaded machine does not cross by itself."""
REQUESTS = 200
EVENTS = 100
HANGS = 5
IDLE_SECONDS = 60
ONE_TOKEN = {"model": "smol", "prompt": "1", "max_tokens": 1, "temperature": 0}
STORY = {"model": "smol", "prompt": "Once upon a time", "max_tokens": 2000, "ignore_eos": True, "stream": True}


async def application(_scope: Message, receive: Receive, send: Send) -> None:
    """The quickest possible model: a stream of events that cost nothing."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    for _ in range(EVENTS):
        await send({"type": "http.response.body", "body": b'data: {"choices": [{"text": "x"}]}\n\n', "more_body": True})
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


async def stream_seconds(app: Callable[[Message, Receive, Send], object]) -> float:
    """Seconds for one stream: the best of many, because everything else only adds."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}"}

    async def send(_message: Message) -> None:
        pass

    best = float("inf")
    for _ in range(500):
        began = time.perf_counter()
        await app({"type": "http", "method": "POST", "path": "/v1/completions", "headers": []}, receive, send)  # type: ignore[misc]  # any ASGI app
        best = min(best, time.perf_counter() - began)
    return best


async def per_event() -> tuple[float, float]:
    """Microseconds per streamed event with the watchdog and without."""
    with_it, without = await stream_seconds(Watchdog(application)), await stream_seconds(application)
    return with_it / EVENTS * 1e6, without / EVENTS * 1e6


def request_quartiles(server: Server) -> tuple[list[float], list[float]]:
    """Quartiles, in seconds, of a one-token completion with the watchdog and past it: one engine, in turn and with the turn changing."""
    took: dict[tuple[str, ...], list[float]] = {(): [], ("x-bare",): []}
    for turn in range(REQUESTS):
        for headers in sorted(took, reverse=turn % 2 == 1):
            began = time.perf_counter()
            server.ask("/v1/completions", ONE_TOKEN, *headers)
            took[headers].append(time.perf_counter() - began)
    with_it, without = (statistics.quantiles(times) for times in took.values())
    return with_it, without


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle_percent(*servers: Server) -> list[float]:
    """CPU of each API server in percent of a core, in the same idle minute."""
    before = [cpu_seconds(server.process.pid) for server in servers]
    time.sleep(IDLE_SECONDS)
    after = [cpu_seconds(server.process.pid) for server in servers]
    return [(end - begin) / IDLE_SECONDS * 100 for begin, end in zip(before, after, strict=True)]


def hang_seconds(server: Server) -> tuple[list[float], list[float]]:
    """For each hang under a stream: seconds from the stop of the worker to the pushed word, and from its return to the next one."""
    found, healed = [], []
    with server.stream("/allod/heartbeat") as beat:
        for _ in range(HANGS):
            with server.stream("/v1/completions", STORY) as story:
                story.event()
                with server.hung():
                    found.append(until(beat, ok=False))
                healed.append(until(beat, ok=True))
    return found, healed


def until(beat: Stream, *, ok: bool) -> float:
    """Seconds until a heartbeat says so."""
    began = time.monotonic()
    next(line for line in beat.lines() if line["ok"] is ok)
    return time.monotonic() - began


def figures() -> list[Figure]:
    event, plain = asyncio.run(per_event())
    with serving(middleware="") as without, serving(middleware="halves.Halves", beside=[HALVES]) as with_it:
        percent, plain_percent = idle_percent(with_it, without)
        (_, middle, _), (low, plain_middle, high) = request_quartiles(with_it)
    with serving(ALLOD_HANG_SECONDS=str(THRESHOLD)) as server:
        found, healed = hang_seconds(server)
    idle = f"vLLM's API server without it: {plain_percent:.2f} %"
    noise = f"noise: the middle half of those without took {low / plain_middle:.2f} to {high / plain_middle:.2f} x their median"
    return [
        Figure("CPU of the idle watch, percent of a core", round(percent - plain_percent, 2), "%", 1, idle),
        Figure("a one-token request with the watchdog, over one without, medians", round(middle / plain_middle, 3), "x", 1.05, noise),
        Figure(
            "added to each event of a stream",
            round(event - plain, 2),
            "us",
            50,
            f"an application that does nothing: {plain:.2f} us per event",
        ),
        *_hangs([seconds - THRESHOLD for seconds in found], healed),
    ]


def _hangs(late: list[float], healed: list[float]) -> list[Figure]:
    beyond = f"hang of a worker to the pushed word, beyond the threshold, median of {HANGS}"
    back = f"return of the worker to the pushed word, median of {HANGS}"
    return [
        Figure(beyond, round(statistics.median(late), 2), "s", 0.5, f"worst {max(late):.2f} s; threshold {THRESHOLD} s"),
        Figure(back, round(statistics.median(healed), 2), "s", 0.5, f"worst {max(healed):.2f} s"),
    ]


if __name__ == "__main__":
    print(publish("watchdog", figures()))
