"""What is being done, for how long, and how far it is: on standard error, so that results may be piped.

On a terminal the running step is redrawn in place; elsewhere a line is written when a step begins, each minute that it runs, and when it
has ended.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BAR = 24
"""Characters inside the brackets."""
MINUTE = 60.0
"""Seconds between two lines where there is no terminal: a log that says nothing for ten minutes looks like a hang."""
CORES = 2
"""On so many idle ones was an estimate measured, unless it says otherwise."""


class Progress:
    """A list of steps, each with its time. `quiet` says nothing: tests have their own reports."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.begun = time.monotonic()
        self.terminal = sys.stderr.isatty()

    @contextmanager
    def step(self, what: str, estimate: float | None = None, *, cores: int = CORES) -> Iterator[Step]:
        """One step; `estimate` in seconds on so many idle cores, when it takes minutes and a person wants to know."""
        step = Step(what, estimate)
        if self.quiet:
            yield step
            return
        if not self.terminal:
            idle = f"{cores} idle core{'s' if cores > 1 else ''}"
            self.say(f"{what} ..." if estimate is None else f"{what} (about {clock(estimate)} on {idle}) ...")
            with Repeated(lambda: self.say(step.still()), MINUTE):
                yield step
            self.say(f"{what}: {step.elapsed:.1f} s")
            return
        try:
            with Repeated(lambda: _paint(step), 0.25):
                yield step
        finally:
            sys.stderr.write("\r\033[K")
        sys.stderr.write(f"\r\033[K  {what}: {step.elapsed:.1f} s\n")

    def say(self, line: str) -> None:
        """One line of its own."""
        if not self.quiet:
            print(f"  {line}", file=sys.stderr, flush=True)


class Step:
    """A step that runs. Whoever knows how far it is sets `share`."""

    def __init__(self, what: str, estimate: float | None) -> None:
        self.what = what
        self.estimate = estimate
        self.begun = time.monotonic()
        self.share = 0.0
        """0 to 1."""

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.begun

    def still(self) -> str:
        """`building Kubernetes: 3:00 so far, 45% done`."""
        return f"{self.what}: {clock(self.elapsed)} so far{f', {self.share:.0%} done' if self.share else ''}"

    def line(self) -> str:
        """`building Kubernetes  [=====>      ] 1:10 of ~7:00`."""
        if self.estimate is None:
            return f"{self.what} ... {self.elapsed:.0f} s"
        full = round(self.share * BAR)
        bar = ("=" * full + ">" + " " * BAR)[:BAR]
        left = max(self.estimate, self.elapsed / max(self.share, 0.01)) if self.share > 0.5 else self.estimate
        return f"{self.what} [{bar}] {clock(self.elapsed)} of ~{clock(max(left, self.elapsed))}"


class Repeated:
    """Says how far the running step is, again and again until it has ended."""

    def __init__(self, say: Callable[[], None], seconds: float) -> None:
        self.say = say
        self.seconds = seconds
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._repeat, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()

    def _repeat(self) -> None:
        while not self.ended.wait(self.seconds):
            self.say()


def _paint(step: Step) -> None:
    sys.stderr.write(f"\r\033[K  {step.line()}")
    sys.stderr.flush()


def clock(seconds: float) -> str:
    """`4:10`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
