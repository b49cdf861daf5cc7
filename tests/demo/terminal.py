"""What a person sees while the demo runs: numbered steps, what each came to, and how long it took."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Step:
    """One numbered line; `result` is said when it ends."""

    result: str = ""


@dataclass(slots=True)
class Terminal:
    """Numbers the steps of a story whose length is known."""

    steps: int
    done: int = field(default=0, init=False)

    @contextmanager
    def step(self, name: str, doing: str) -> Iterator[Step]:
        """Prints `  2/6  name   result   3 s`. While it runs, programs that it starts may print lines of their own."""
        self.done += 1
        print(f"  {self.done}/{self.steps}  {name:<10} {doing}", flush=True)
        started = time.monotonic()
        step = Step()
        yield step
        print(f"       {'':<10} {step.result:<58} {time.monotonic() - started:5.0f} s", flush=True)

    def line(self, text: str = "") -> None:
        """A line under the step that runs."""
        print(f"{'':<18}{text}" if text else "", flush=True)
