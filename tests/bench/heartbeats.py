"""What the operator's own heartbeat connections cost, and how soon they know. All on loopback: a network adds its own time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from allod.runtime.heartbeats import Heartbeats
from allod.runtime.metrics import Metrics
from bench.beats import BEAT_SECONDS, CONNECTIONS, MEASURE_SECONDS, PROBES, pod
from bench.publication import ROOT, Figure, publish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allod.domain.manifest import Manifest
    from allod.domain.serving.health.beat import State
    from bench.beats import Run

TRIALS = 20
ROUNDS = 3
NOBODY = 9
"""A port on which nobody listens."""
PROGRAM = (sys.executable, "-m", "bench.beats")
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


@contextlib.contextmanager
def server() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The process that sends beats, and its port."""
    process = subprocess.Popen((*PROGRAM, "serve"), cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def run(how: str, port: int) -> Run:
    """One listening process."""
    done = subprocess.run((*PROGRAM, how, str(port)), cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=True)
    found: Run = json.loads(done.stdout)
    return found


class Eye:
    """The operator's heartbeats, on one engine."""

    def __init__(self, port: int) -> None:
        self.pod = pod(0, PROBES["pushed"])
        self.heartbeats = Heartbeats(lambda _: self.pod, self._changed, Metrics(), port=port)
        self._news = asyncio.Event()

    def _changed(self, _pod: Manifest) -> None:
        self._news.set()

    async def until(self, state: State) -> float:
        """The time at which it was told so."""
        while self.heartbeats.of((self.pod,))["u0"].state != state:
            self._news.clear()
            await self._news.wait()
        return time.monotonic()


@contextlib.contextmanager
def watching(port: int) -> Iterator[Eye]:
    eye = Eye(port)
    running = asyncio.get_running_loop().create_task(eye.heartbeats.run())
    try:
        yield eye
    finally:
        running.cancel()


async def killed() -> tuple[list[float], list[float]]:
    """Seconds from SIGKILL of the server's process to Gone; and to the end of a connection that does nothing else."""
    ours, bare = [], []
    for _ in range(TRIALS):
        with server() as (process, port), watching(port) as eye:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await eye.until("Serving")
            began = time.monotonic()
            process.kill()
            gone = asyncio.create_task(eye.until("Gone"))
            await reader.read()
            bare.append(time.monotonic() - began)
            ours.append(await gone - began)
            writer.close()
    return ours, bare


async def stopped() -> tuple[list[float], list[float]]:
    """Seconds from SIGSTOP to Silent, at evenly spread moments between two beats; and from SIGCONT to Serving."""
    found, healed = [], []
    with server() as (process, port), watching(port) as eye:
        for trial in range(TRIALS):
            await eye.until("Serving")
            await asyncio.sleep(2 + trial / TRIALS * BEAT_SECONDS)
            process.send_signal(signal.SIGSTOP)
            began = time.monotonic()
            found.append(await eye.until("Silent") - began)
            process.send_signal(signal.SIGCONT)
            began = time.monotonic()
            healed.append(await eye.until("Serving") - began)
    return found, healed


def worst(seconds: list[float], unit: float = 1, digits: int = 2) -> str:
    return f"worst {max(seconds) * unit:.{digits}f}"


def costs(runs: dict[str, list[Run]]) -> list[Figure]:
    """In turn, so that the machine's moods meet all alike."""
    per_beat = {how: statistics.median(each["cpu"] / each["beats"] * 1e6 for each in runs[how]) for how in ("bare", "pushed", "polled")}
    taken = {how: statistics.median(each["memory"] for each in runs[how]) for how in ("bare", "pushed")}
    heard = [each for how in ("pushed", "polled") for each in runs[how]]
    dead = statistics.median(each["cpu"] for each in runs["dead"]) / MEASURE_SECONDS * 100
    bare = f"an asyncio.Protocol that counts: {per_beat['bare']:.1f} us"
    return [
        Figure(
            f"CPU per heartbeat, {CONNECTIONS} pods, 2 beats a second, median of {ROUNDS}", round(per_beat["pushed"], 1), "us", 50, bare
        ),
        Figure("the same over the bare protocol", round(per_beat["pushed"] / per_beat["bare"], 2), "x", None, bare),
        Figure("CPU per page of llama.cpp that is asked for, question included", round(per_beat["polled"], 1), "us", 50, bare),
        Figure(f"memory of {CONNECTIONS} connections", round(taken["pushed"], 1), "MiB", None, f"bare protocol: {taken['bare']:.1f} MiB"),
        Figure(f"CPU of {CONNECTIONS} pods whose port is closed, percent of a core", round(dead, 1), "%", 5),
        Figure(
            f"pods called anything but Serving in {len(heard) * MEASURE_SECONDS} s of {CONNECTIONS} that are well",
            sum(each["not_serving"] for each in heard),
            "pods",
            0,
            f"latest tick of the event loop: {max(each['late'] for each in heard) * 1000:.0f} ms",
        ),
    ]


def delays() -> list[Figure]:
    dead, bare = asyncio.run(killed())
    silent, healed = asyncio.run(stopped())
    beside = f"{worst(dead, 1000, 1)} ms; to the end of a bare connection: median {statistics.median(bare) * 1000:.1f} ms"
    rule = f"{worst(silent)} s; beats come each {BEAT_SECONDS:g} s"
    return [
        Figure(f"process killed to Gone, median of {TRIALS}", round(statistics.median(dead) * 1000, 1), "ms", 30, beside),
        Figure(f"process stopped to Silent, median of {TRIALS}", round(statistics.median(silent), 2), "s", 1.25, rule),
        Figure(
            f"process goes on to Serving, median of {TRIALS}",
            round(statistics.median(healed) * 1000, 1),
            "ms",
            None,
            f"{worst(healed, 1000, 1)} ms",
        ),
    ]


def figures() -> list[Figure]:
    """All of them, in one run of some seven minutes."""
    runs: dict[str, list[Run]] = {"bare": [], "pushed": [], "polled": [], "dead": []}
    with server() as (_, port):
        for _ in range(ROUNDS):
            for how, found in runs.items():
                found.append(run(how, NOBODY if how == "dead" else port))
    return [*costs(runs), *delays()]


if __name__ == "__main__":
    print(publish("heartbeats", figures()))
