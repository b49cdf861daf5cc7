"""The two ends of a thousand heartbeat connections, each a process: `python -m bench.beats serve` and `python -m bench.beats HOW PORT`.

HOW is `bare` (an asyncio.Protocol that counts), `pushed` or `polled` (the operator's own, on the watchdog's lines or llama-server's page)
or `dead` (nobody listens on the port).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from allod.runtime.heartbeats import Heartbeats
from allod.runtime.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from allod.domain.manifest import Manifest

CONNECTIONS = 1000
BEAT_SECONDS = 0.5
SLICES = 50
"""Groups into which the server's connections are spread, so that beats come evenly."""
SETTLE_SECONDS = 8
"""The backoff of dead pods has reached its cap by then."""
MEASURE_SECONDS = 15
LINE = json.dumps({"ok": True, "fault": "", "inflight": 3, "sinceProgress": 0.12, "steps": 123456}).encode() + b"\n"
CHUNK = b"%x\r\n%b\r\n" % (len(LINE), LINE)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
PAGE = b'HTTP/1.1 200 OK\r\ncontent-length: 15\r\nkeep-alive: timeout=5, max=100\r\n\r\n{"status":"ok"}'
PROBES = {"pushed": "/allod/ready", "dead": "/allod/ready", "polled": "/health"}


class Run(TypedDict):
    """What one listening process measured of itself."""

    beats: int
    cpu: float
    """Seconds of CPU in MEASURE_SECONDS."""
    memory: float
    """MiB resident that the connections took."""
    not_serving: int
    """Pods that were in another state than Serving at some time, or are."""
    late: float
    """Seconds: the latest tick."""


def many_descriptors() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Server(asyncio.Protocol):
    """Answers the health page, or joins those who get lines."""

    def __init__(self, listeners: list[asyncio.Transport]) -> None:
        self.listeners = listeners

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]  # of a stream

    def connection_lost(self, _problem: Exception | None) -> None:
        if self.transport in self.listeners:
            self.listeners.remove(self.transport)

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET /health"):
            self.transport.write(PAGE)
        else:
            self.transport.write(HEAD + CHUNK)
            self.listeners.append(self.transport)


async def serve() -> None:
    """Prints its port, then sends lines for ever."""
    listeners: list[asyncio.Transport] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(listeners), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    began = loop.time()
    for turn in itertools.count():
        for each in listeners[turn % SLICES :: SLICES]:
            each.write(CHUNK)
        await asyncio.sleep(began + (turn + 1) * BEAT_SECONDS / SLICES - loop.time())


class Bare(asyncio.Protocol):
    """The least that Python can do with a beat: count it."""

    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(b"GET /allod/heartbeat HTTP/1.1\r\n\r\n")  # type: ignore[attr-defined]  # of a stream

    def data_received(self, _data: bytes) -> None:
        Bare.count += 1


def pod(number: int, probe: str) -> Manifest:
    meta: dict[str, Any] = {"name": f"chat-{number}", "namespace": "ai", "uid": f"u{number}"}
    meta["labels"] = {"allod.dev/model": "chat", "allod.dev/revision": "5b21aa0c"}
    engine = {"name": "engine", "restartCount": 0, "started": True, "ready": True, "state": {"running": {}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": {"containers": [{"name": "engine", "readinessProbe": {"httpGet": {"path": probe}}}]},
        "status": {"podIP": "127.0.0.1", "containerStatuses": [engine]},
    }


def memory() -> float:
    """MiB resident."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


async def measure(count: Callable[[], float], empty: float) -> Run:
    await asyncio.sleep(SETTLE_SECONDS)
    beats, cpu = count(), time.process_time()
    await asyncio.sleep(MEASURE_SECONDS)
    cpu = time.process_time() - cpu
    return Run(beats=round(count() - beats), cpu=cpu, memory=memory() - empty, not_serving=0, late=0.0)


async def bare(port: int) -> Run:
    empty = memory()
    for _ in range(CONNECTIONS):
        await asyncio.get_running_loop().create_connection(Bare, "127.0.0.1", port)
    return await measure(lambda: Bare.count, empty)


class Lateness(Metrics):
    """The operator's figures, and the latest tick since the last look."""

    worst = 0.0

    def listened(self, beats: int, late: float) -> None:
        super().listened(beats, late)
        self.worst = max(self.worst, late)


async def ours(how: str, port: int) -> Run:
    """All that the operator does with heartbeats, for as many pods."""
    metrics, strange = Lateness(), set[str]()
    pods = {number: pod(number, PROBES[how]) for number in range(CONNECTIONS)}

    def changed(told: Manifest) -> None:
        if heartbeats.of((told,))[told["metadata"]["uid"]].state != "Serving":
            strange.add(told["metadata"]["uid"])

    heartbeats = Heartbeats(lambda target: pods.get(int(target.name[5:])), changed, metrics, port=port)
    running = asyncio.create_task(heartbeats.run())
    await asyncio.sleep(0.1)
    empty = memory()
    for each in pods.values():
        heartbeats.of((each,))
        await asyncio.sleep(0.001)  # a reconcile takes that and more
    measuring = asyncio.create_task(measure(lambda: metrics.registry.get_sample_value("allod_heartbeats_total") or 0, empty))
    await asyncio.sleep(SETTLE_SECONDS)
    metrics.worst = 0.0
    found = await measuring
    strange |= {uid for uid, beat in heartbeats.of(pods.values()).items() if beat.state != "Serving"}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    found["not_serving"], found["late"] = len(strange), metrics.worst
    return found


def main() -> None:
    many_descriptors()
    match sys.argv[1:]:
        case ["serve"]:
            asyncio.run(serve())
        case ["bare", port]:
            print(json.dumps(asyncio.run(bare(int(port)))))
        case [how, port]:
            print(json.dumps(asyncio.run(ours(how, int(port)))))


if __name__ == "__main__":
    main()
