"""`python -m rungs [RUNG ...]`: runs the rungs in order, stops at the first that fails, and says how long each took.

How long is kept, with the commit: `--publish` writes what the last climbs of this commit took to docs/benchmarks, and climbs nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.publication import Figure, commit, publish
from box import controlplane, gobuild, machine, prerequisites, tools
from box.errors import BoxError
from box.image import product
from box.image.catalogue import named
from support import termination
from support.termination import Terminated

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PYTEST = (str(BIN / "python"), "-m", "pytest", "-q")
TWICE = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
"""Files of tests go to two processes: a file's fixtures are made once, and a cluster rung has two boxes that wait at the same time. In the
order of collection, see tests/conftest.py."""
BOX = (str(BIN / "python"), "-m", "box")
HOUR = 3600
"""Seconds that CI has, cold."""
KEPT = ROOT / ".rungs.json"
"""Seconds of the last climb that ended well, by rung and commit; no part of the repository."""
IMAGE = (str(BIN / "python"), "-m", "box.image")
BUILD = (*IMAGE, "build")


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the ladder: commands that must all succeed, in order."""

    name: str
    what: str
    commands: tuple[tuple[str, ...], ...]
    root: bool = False
    """Whether only root can climb it."""


LADDER = (
    Rung(
        "lint",
        "style, types, layers, generated files",
        (
            (str(BIN / "ruff"), "check", "--quiet", "."),
            (str(BIN / "ruff"), "format", "--quiet", "--check", "."),
            (str(BIN / "mypy"),),
            (str(BIN / "lint-imports"), "--no-logo"),
            (str(BIN / "python"), "docs/reference/generate.py", "--check"),
        ),
    ),
    Rung(
        "unit",
        "pure code, manifests, queue, lease, alert rules",
        ((*BOX, "prepare", "--only", "kube"), (*BOX, "prepare", "--only", "prometheus"), (*PYTEST, *TWICE, "tests/unit")),
    ),
    Rung(
        "control-plane",
        "a real kube-apiserver on loopback",
        ((*BOX, "prepare", "--only", "kube"), (*PYTEST, *TWICE, "tests/control_plane")),
    ),
    Rung(
        "cluster",
        "two real nodes",
        (
            (*BOX, "prepare"),
            (*BOX, "prepare", "--only", "prometheus"),
            (*BUILD, "operator", "llama.cpp", "model-gguf"),
            (*PYTEST, *TWICE, "tests/cluster"),
        ),
        root=True,
    ),
    Rung("vllm", "real vLLM, alone and in pods", ((*BUILD, "all"), (*PYTEST, *TWICE, "tests/vllm")), root=True),
)


def require(rungs: Sequence[Rung]) -> None:
    """Refuses before minutes are spent on what a later command of these rungs would refuse."""
    if names := [rung.name for rung in rungs if rung.root]:
        machine.require_root(f"Climbing {' and '.join(names)}")
    prerequisites.check(
        f"Climbing {', '.join(rung.name for rung in rungs)}", programs([command for rung in rungs for command in rung.commands])
    )


def programs(commands: Sequence[Sequence[str]]) -> dict[str, str]:
    """What these need of the machine; `prepare` installs what a box needs by itself."""
    if not any(command[: len(BOX)] in (BOX, IMAGE) for command in commands):
        return {}
    images = [image for command in commands if command[: len(BUILD)] == BUILD for name in command[len(BUILD) :] for image in named(name)]
    found = {**controlplane.PROGRAMS, **gobuild.needs(), **product.programs(product.stale(images))}
    return {program: package for program, package in found.items() if program not in tools.MACHINE or (*BOX, "prepare") not in commands}


def climb(rung: Rung) -> float:
    """Seconds that the rung took. Raises CalledProcessError at the first command that fails."""
    started = time.monotonic()
    for command in rung.commands:
        run(command)
    return time.monotonic() - started


def run(command: Sequence[str]) -> None:
    """Until it has ended, whatever stops this process: subprocess.run would kill it a quarter of a second after Ctrl-C, and what its
    tests have started would stay. Raises CalledProcessError when it fails.
    """
    with subprocess.Popen(command, cwd=ROOT) as running:
        try:
            status = running.wait()
        except KeyboardInterrupt as stopped:
            if isinstance(stopped, Terminated):
                running.terminate()
            running.wait()
            raise
    if status:
        raise subprocess.CalledProcessError(status, command)


def keep(name: str, seconds: float, kept: Path = KEPT) -> None:
    """For a later `--publish`. Another commit's times are forgotten: together they would be nobody's."""
    times = remembered(kept) | {name: round(seconds, 1)}
    kept.write_text(json.dumps({"commit": commit(), "seconds": times}, indent=2) + "\n")


def remembered(kept: Path = KEPT) -> dict[str, float]:
    """Seconds by rung, in the order of the ladder, of climbs at the commit that is checked out."""
    found = json.loads(kept.read_text()) if kept.exists() else {}
    seconds: dict[str, float] = found.get("seconds", {}) if found.get("commit") == commit() else {}
    return {rung.name: seconds[rung.name] for rung in LADDER if rung.name in seconds}


def publish_kept() -> int:
    times = remembered()
    if missing := [rung.name for rung in LADDER if rung.name not in times]:
        print(f"Commit {commit()} has not climbed {', '.join(missing)}: make test, then again.", file=sys.stderr)
        return 1
    whole = Figure("all rungs, one after the other", round(sum(times.values())), "s", HOUR)
    print(publish("rungs", [*(Figure(f"rung {name}", round(seconds), "s") for name, seconds in times.items()), whole]))
    return 0


def report(times: dict[str, float]) -> str:
    rows = [f"  {rung.name:<14} {times[rung.name]:7.1f} s   {rung.what}" for rung in LADDER if rung.name in times]
    return "\n".join(["", *rows, f"  {'together':<14} {sum(times.values()):7.1f} s"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="rungs", description=__doc__)
    parser.add_argument("rung", nargs="*", choices=[[], *(rung.name for rung in LADDER)], help="without one: all of them")
    parser.add_argument("--publish", action="store_true", help="climb nothing; write the last times of all to docs/benchmarks")
    asked = parser.parse_args()
    if asked.publish:
        return publish_kept()
    termination.as_interrupt()
    chosen = [rung for rung in LADDER if not asked.rung or rung.name in asked.rung]
    try:
        require(chosen)
    except BoxError as error:
        print(error, file=sys.stderr)
        return 1
    times: dict[str, float] = {}
    for rung in chosen:
        print(f"== {rung.name}: {rung.what}", flush=True)
        try:
            times[rung.name] = climb(rung)
            keep(rung.name, times[rung.name])
        except subprocess.CalledProcessError as failure:
            print(
                f"\n== {rung.name} failed: {' '.join(failure.cmd)} ended with {failure.returncode}. Again: make test-{rung.name}",
                file=sys.stderr,
            )
            if times:
                print(report(times), flush=True)
            return 1
        except KeyboardInterrupt:
            print(f"\n== {rung.name} stopped. Again: make test-{rung.name}", file=sys.stderr)
            return 130
    print(report(times), flush=True)
    return 0
