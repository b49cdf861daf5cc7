"""The figures of the box, measured now on this machine: JSON on standard output."""

from __future__ import annotations

import shutil
import statistics
import time
from typing import TYPE_CHECKING

from box import cache, machine, processes, scratch
from box.box import Box, prepare
from box.controlplane import control_plane
from box.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUNS = 3


def measure(progress: Progress) -> dict[str, object]:
    """Seconds are [best, median, worst] of three runs, one after the other; memory is the sum of PSS, in MiB."""
    machine.require_root("Measuring a cluster with nodes")
    prepare(progress)
    described = machine.description()
    with scratch.folder("bench-") as state:
        up, ready_memory, down = [], [], []
        for _ in range(RUNS):
            box = Box(state / "box", Progress(quiet=True))
            with progress.step("two nodes"):
                up.append(_seconds(box.up))
            ready_memory.append(memory(box))
            down.append(_seconds(box.down))
        alone = []
        for number in range(RUNS):
            with progress.step("control plane alone"):
                alone.append(_seconds_to_enter(state / f"plane{number}"))
    return {
        "machine": described,
        "fromCacheToTwoNodesReadySeconds": _spread(up),
        "downSeconds": _spread(down),
        "controlPlaneAloneSeconds": _spread(alone),
        "twoNodesMemoryMiB": round(statistics.median(sum(each.values()) for each in ready_memory)),
        "memoryMiB": ready_memory[-1],
        "cacheMiB": round(sum(path.lstat().st_size for path in cache.folder().rglob("*") if path.is_file()) / 2**20),
    }


def memory(box: Box) -> dict[str, int]:
    """MiB of each program's processes together, everything inside the box."""
    sums: dict[str, int] = {}
    for pid in processes.tree(box.space.pid):
        name = processes.name(pid)
        sums[name] = sums.get(name, 0) + processes.memory(pid)
    return {name: round(size / 2**20) for name, size in sorted(sums.items(), key=lambda pair: -pair[1]) if size >= 2**20}


def memory_total(box: Box) -> float:
    """MiB."""
    return sum(processes.memory(pid) for pid in processes.tree(box.space.pid)) / 2**20


def _seconds(action: Callable[[], object]) -> float:
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


def _seconds_to_enter(state: Path) -> float:
    begun = time.monotonic()
    with control_plane(state):
        took = time.monotonic() - begun
    shutil.rmtree(state)
    return took


def _spread(seconds: list[float]) -> list[float]:
    return [round(value, 1) for value in (min(seconds), statistics.median(seconds), max(seconds))]
