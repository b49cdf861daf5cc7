"""What the watchdog holds for true of an engine: pure, in seconds and counters, without I/O and clock.

- The engine hangs when something waits for it and it makes no step for the threshold. When idle for as long, it is asked for one token,
  so an idle hang is found too; when not idle after half of that, so a request that waits for something else (a tool, a grammar) raises
  no alarm.
- It fails when a client got a 5xx and three questions for one token in a row failed after that, with no step between.
- Nothing counts before the first step, which may compile for minutes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

BLINK: Final = 1.0
"""Seconds of a gap between two looks that count at most: who was frozen (blocked loop, stopped process) saw nothing."""
BUSY: Final = 503
"""vLLM's answer when its queue is full, and ours when there is a fault."""
FAILS: Final = 4
"""Failures with no step between, of clients (all of them count as one) and self-requests: one alone may be bad luck with a request."""


@dataclass(slots=True)
class Engine:
    """What is known of the engine and what follows from it. No I/O and no clock: seconds and counters come in, a verdict goes out."""

    threshold: float
    watched: float = 0.0  # seconds that somebody looked: the only time in which silence means anything
    looked_at: float | None = None
    seen: object = None  # the counters at the last look; a change is progress
    progress_at: float = -math.inf
    events: int = 0  # pieces of streams: the sign of progress where vLLM keeps no counters
    waiting: int = 0  # requests that wait for the engine now: received in full, client not slow to read
    waiting_since: float = 0.0
    proven: bool = False  # it made a step since the start
    assumed: bool = False  # our self-request is refused as wrong, so only a user's request can prove it
    hung_at: float | None = None
    doubts: int = 0  # answers that failed, with no step since: it is to be asked at once
    trouble: str = ""  # why it counts as failed
    draining: bool = False

    def look(self, now: float, seen: object) -> None:
        """Takes in the counters at `now` (seconds of any steady clock)."""
        if self.looked_at is not None:
            self.watched += min(now - self.looked_at, BLINK)
            if seen != self.seen:
                self.progress()
        self.looked_at, self.seen = now, seen
        silent = self.watched - max(self.progress_at, self.waiting_since)
        if self.proven and self.waiting and self.hung_at is None and silent >= self.threshold:
            self.hung_at = self.watched

    def progress(self) -> None:
        """It made a step: whatever was wrong is over."""
        self.progress_at, self.proven, self.hung_at, self.doubts, self.trouble = self.watched, True, None, 0, ""

    def wait(self, change: int) -> None:
        """One request more (1) or less (-1) waits for the engine."""
        self.waiting_since = self.waiting_since if self.waiting else self.watched
        self.waiting += change

    def answered(self, status: int) -> str:
        """Takes in the status of a self-request (0: none came) and names the result. A full queue says nothing of the engine."""
        result = "refused" if status == BUSY else {0: "lost", 4: "refused", 5: "failed"}.get(status // 100, "answered")
        if result == "answered":
            self.progress()
        self.doubts = self.doubts + 1 if result == "failed" else 0
        if self.doubts >= FAILS:
            self.trouble = f"failed: a request for one token got status {status}"
        self.assumed = result == "refused" if status not in {0, BUSY} else self.assumed
        return result

    @property
    def fault(self) -> str:
        """Why it may take no traffic; empty when it may. No moving numbers: a changed text is a changed verdict."""
        if self.draining:
            return "draining: the server was told to stop"
        if self.hung_at is not None:
            return f"hung: no engine step for {self.threshold:g} s while a request waits"
        return self.trouble or ("" if self.proven or self.assumed else "starting: the engine has not made its first step")

    @property
    def live(self) -> bool:
        """False once a hang has lasted for two more thresholds, or a failure for two more questions: loading a model takes minutes."""
        return self.doubts < FAILS + 2 and (self.hung_at is None or self.watched - self.hung_at < 2 * self.threshold)
