"""One vLLM on a GPU: what it says of itself, and what is measured while it serves."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from allod.domain.serving.pod import lines
from bench.watchdog import STORY, cpu_seconds, request_quartiles, until
from support.vllm import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HANGS = 3
STREAMS = 64
IDLE_SECONDS = 15
SAID: dict[str, tuple[str, Callable[[str], object]]] = {
    "weightsGiB": (r"Model loading took ([\d.]+) GiB", float),
    "loadSeconds": (r"Model loading took [\d.]+ GiB memory and ([\d.]+) s", float),
    "cacheGiB": (r"Available KV cache memory: (-?[\d.]+) GiB", float),
    "tokens": (r"KV cache size: ([\d,]+) tokens", lambda text: int(text.replace(",", ""))),
    "concurrency": (r"tokens per request: ([\d.]+)x", float),
    "graphsGiB": (r"Graph capturing finished in \d+ secs, took (-?[\d.]+) GiB", float),
    "graphsExpectedGiB": (r"Estimated CUDA graph memory: (-?[\d.]+) GiB total", float),
    "graphSeconds": (r"Graph capturing finished in (\d+) secs", int),
    "compileSeconds": (r"torch\.compile took ([\d.]+) s in total", float),
    "initSeconds": (r"warmup model\) took ([\d.]+) s", float),
    "attention": (r"Using (\w+) attention backend|Using AttentionBackendEnum\.(\w+)", str),
}
"""Name of a figure -> where vLLM says it."""


class Engine(Server):
    """vLLM with one GPU: no worker process, the engine's own computes."""

    @property
    def worker(self) -> int:
        return next(pid for pid, title in self.descendants().items() if "VLLM::EngineCore" in title)


def said(log: Path) -> dict[str, Any]:
    """The figures that vLLM's log has."""
    text, found = log.read_text(errors="replace"), {}
    for name, (pattern, kind) in SAID.items():
        if matches := re.findall(pattern, text):
            last = matches[-1]
            found[name] = kind(last if isinstance(last, str) else "".join(last))
    return found


def errors(text: str) -> list[str]:
    """Each exception that a log names, once, in the order of the log."""
    return list(dict.fromkeys(line[:400] for line in lines(text) if re.match(r"(\w+\.)*[A-Z]\w*Error: ", line)))


def cache_config(engine: Engine) -> dict[str, str]:
    """Labels of vllm:cache_config_info."""
    page = engine.ask("/metrics").body.decode()
    line = next((line for line in page.splitlines() if line.startswith("vllm:cache_config_info{")), "")
    return dict(re.findall(r'(\w+)="([^"]*)"', line))


def smi(what: str) -> str:
    """One field of nvidia-smi about the first GPU."""
    words = ["nvidia-smi", "--id=0", f"--query-gpu={what}", "--format=csv,noheader,nounits"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def used() -> int:
    return int(smi("memory.used"))


@contextlib.contextmanager
def holding(gibibytes: int) -> Iterator[None]:
    """Another process with that much of the GPU."""
    if not gibibytes:
        yield
        return
    hold = f"held = torch.empty({gibibytes} << 30, dtype=torch.uint8, device='cuda')"
    program = f"import torch, sys; {hold}; print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            if process.stdout:
                process.stdout.readline()
            yield
        finally:
            process.kill()


def leave(engine: Engine, result: dict[str, Any]) -> None:
    """SIGTERM, and what comes of it."""
    began = time.monotonic()
    engine.process.send_signal(signal.SIGTERM)
    try:
        result["exit"] = engine.process.wait(60)
    except subprocess.TimeoutExpired:
        result["exit"] = None
    result["exitSeconds"] = round(time.monotonic() - began, 1)


def everything(engine: Engine, result: dict[str, Any]) -> None:
    """The watchdog in it, and speed through it."""
    began = time.monotonic()
    engine.until("/allod/ready", 200)
    result["readyAfterHealthSeconds"] = round(time.monotonic() - began, 2)
    for name, measure in {"requests": requests, "throughput": throughput, "idle": idle, "hangs": hangs, "drain": drain}.items():
        try:
            result[name] = measure(engine)
        except Exception as error:  # noqa: BLE001 - the next may go well
            result[name] = {"error": repr(error)[:300]}


def requests(engine: Engine) -> dict[str, Any]:
    """Seconds of a one-token completion with the watchdog and past it, quartiles."""
    with_it, without = request_quartiles(engine)
    return {"with": with_it, "without": without}


def throughput(engine: Engine) -> dict[str, Any]:
    """Streamed tokens a second: one stream, and many at once, with the watchdog and past it, in turn."""
    found: dict[str, list[float]] = {}
    rate(engine, STREAMS)
    for _ in range(3):
        for streams in (1, STREAMS):
            for headers in ((), ("x-bare",)):
                name = f"{streams} {'bare' if headers else 'watched'}"
                found.setdefault(name, []).append(round(rate(engine, streams, *headers), 1))
    return found


def rate(engine: Engine, streams: int, *headers: str) -> float:
    """Tokens a second of so many streams."""
    story, counted = STORY | {"max_tokens": 256, "min_tokens": 256}, []

    def read() -> None:
        with engine.stream("/v1/completions", story, *headers) as stream:
            counted.append(sum(1 for event in stream.events() if event != "[DONE]"))

    threads = [threading.Thread(target=read) for _ in range(streams)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counted) / (time.monotonic() - began)


def idle(engine: Engine) -> dict[str, Any]:
    """CPU of the API server and of the engine while nothing is asked, percent of a core. The watchdog asks itself each threshold."""
    pids = {"apiServer": engine.process.pid, "engineCore": engine.worker}
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    time.sleep(15)
    return {name: round((cpu_seconds(pid) - before[name]) / 15 * 100, 2) for name, pid in pids.items()}


def hangs(engine: Engine) -> dict[str, Any]:
    """The engine's process stands still: under a stream, then while nothing is asked."""
    found, healed, health = [], [], []
    with engine.stream("/allod/heartbeat") as beat:
        for _ in range(HANGS):
            with engine.stream("/v1/completions", STORY) as story:
                story.event()
                with engine.hung():
                    found.append(round(until(beat, ok=False), 2))
                    health.append(engine.ask("/health").status)
                healed.append(round(until(beat, ok=True), 2))
        time.sleep(2)
        with engine.hung():
            alone = round(until(beat, ok=False), 2)
            health.append(engine.ask("/health").status)
        back = round(until(beat, ok=True), 2)
    return {"found": found, "healed": healed, "idleFound": alone, "idleHealed": back, "healthMeanwhile": health}


def drain(engine: Engine) -> dict[str, Any]:
    """SIGTERM under a stream: does the stream end whole?"""
    story = STORY | {"max_tokens": 1000, "min_tokens": 1000}
    with engine.stream("/v1/completions", story) as stream:
        stream.event()
        began = time.monotonic()
        engine.process.send_signal(signal.SIGTERM)
        events = list(stream.events())
        ended = round(time.monotonic() - began, 2)
    code = engine.process.wait(60)
    tokens = 1 + sum(event != "[DONE]" for event in events)
    return {
        "streamSeconds": ended,
        "tokens": tokens,
        "done": events[-1] == "[DONE]",
        "exit": code,
        "seconds": round(time.monotonic() - began, 2),
    }


def killed(engine: Engine, result: dict[str, Any]) -> None:
    """The engine's process is killed: what the server says and how it ends."""
    began = time.monotonic()
    os.kill(engine.worker, signal.SIGKILL)
    statuses: list[int | str] = []
    while engine.process.poll() is None and time.monotonic() - began < 30:
        try:
            statuses.append(engine.ask("/health", timeout=2).status)
        except OSError:
            statuses.append("closed")
        time.sleep(0.2)
    result["killed"] = {
        "exit": engine.process.poll(),
        "seconds": round(time.monotonic() - began, 2),
        "health": sorted(set(map(str, statuses))),
    }
