"""`python -m rungs [RUNG ...]`: runs the rungs in order, stops at the first that fails, and says how long each took."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.publication import Figure, publish

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PYTEST = (str(BIN / "python"), "-m", "pytest", "-q")
BOX = (str(BIN / "python"), "-m", "box")
IMAGE = (str(BIN / "python"), "-m", "box.image")


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the ladder: commands that must all succeed, in order."""

    name: str
    what: str
    commands: tuple[tuple[str, ...], ...]


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
        ((*BOX, "prepare", "--only", "kube"), (*BOX, "prepare", "--only", "prometheus"), (*PYTEST, "tests/unit")),
    ),
    Rung("control-plane", "a real kube-apiserver on loopback", ((*BOX, "prepare", "--only", "kube"), (*PYTEST, "tests/control_plane"))),
    Rung(
        "cluster",
        "two real nodes",
        (
            (*BOX, "prepare"),
            (*BOX, "prepare", "--only", "prometheus"),
            (*IMAGE, "build", "operator", "llama.cpp", "model-gguf"),
            (*PYTEST, "tests/cluster"),
        ),
    ),
    Rung("vllm", "real vLLM, alone and in pods", ((*IMAGE, "build", "all"), (*PYTEST, "tests/vllm"))),
)


def climb(rung: Rung) -> float:
    """Seconds that the rung took. Raises CalledProcessError at the first command that fails."""
    started = time.monotonic()
    for command in rung.commands:
        subprocess.run(command, cwd=ROOT, check=True)
    return time.monotonic() - started


def report(times: dict[str, float]) -> str:
    rows = [f"  {rung.name:<14} {times[rung.name]:7.1f} s   {rung.what}" for rung in LADDER if rung.name in times]
    return "\n".join(["", *rows, f"  {'together':<14} {sum(times.values()):7.1f} s"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="rungs", description=__doc__)
    parser.add_argument("rung", nargs="*", choices=[[], *(rung.name for rung in LADDER)], help="without one: all of them")
    parser.add_argument("--publish", action="store_true", help="also write the times to docs/benchmarks")
    asked = parser.parse_args()
    times: dict[str, float] = {}
    for rung in LADDER:
        if asked.rung and rung.name not in asked.rung:
            continue
        print(f"== {rung.name}: {rung.what}", flush=True)
        try:
            times[rung.name] = climb(rung)
        except subprocess.CalledProcessError as failure:
            print(
                f"\n== {rung.name} failed: {' '.join(failure.cmd)} ended with {failure.returncode}. Again: make test-{rung.name}",
                file=sys.stderr,
            )
            return 1
    print(report(times), flush=True)
    if asked.publish:
        publish("rungs", [Figure(f"rung {name}", round(seconds), "s") for name, seconds in times.items()])
    return 0
