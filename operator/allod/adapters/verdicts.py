"""What engines say of their own state, each in its own way."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from allod.adapters.answers import Foreign

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from allod.domain.serving.health.beat import State

    Verdict = tuple[State, str, int | None]
    """State, its words, and the requests in flight if they are told."""

OK: Final = 200
ERRORS: Final = range(500, 600)
WORDS: Final = 300
"""Characters of a fault that are kept: it ends up in status and events."""


@dataclass(frozen=True, slots=True)
class Page:
    """Where a server tells its state."""

    path: str
    statuses: Container[int]
    """Of answers that say something; any other means that this is another server."""
    says: Callable[[int, bytes], Verdict]
    """What a status and a line, or a whole page, mean. Foreign when it is not ours to read."""
    every: float = math.inf
    """Seconds from one question to the next; infinite where lines are pushed."""


def watchdog_says(_status: int, line: bytes) -> Verdict:
    """A line of images/engine/watchdog.py: {"ok", "fault", "inflight", ...}."""
    try:
        said: dict[str, Any] = json.loads(line.decode())
        well, fault, inflight = said["ok"], said["fault"], said.get("inflight")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Foreign(f"not a heartbeat: {_printable(line.decode(errors='replace'))[:40]!r}") from None
    if well is True and fault == "":
        return "Serving", "", None
    if not isinstance(well, bool) or not isinstance(fault, str):
        raise Foreign("a heartbeat without ok and fault")
    words = _printable(fault)[:WORDS]
    if well:
        return "Serving", words, None
    state: State = "Draining" if words.startswith("draining:") else "Starting" if words.startswith("starting:") else "Faulty"
    return state, words, inflight if type(inflight) is int else None


def llama_says(status: int, page: bytes) -> Verdict:
    """The health page of llama-server 0.7.0: 200 when it serves, 503 with "Loading model" before."""
    if status == OK:
        return "Serving", "", None
    return (
        ("Starting", "it loads its model", None) if b"Loading model" in page else ("Faulty", f"its health page has status {status}", None)
    )


def _printable(text: str) -> str:
    """A peer's words on one line."""
    return "".join(each if each.isprintable() else " " for each in text)


PUSHED: Final = Page("/allod/heartbeat", frozenset({OK}), watchdog_says)
"""The watchdog in vLLM: two lines a second, and one at once when its verdict changes."""
POLLED: Final = Page("/health", frozenset({OK, *ERRORS}), llama_says, every=0.5)
"""llama-server has no watchdog. Asked as often as the other pushes, so that one rule of silence holds for both: a page costs what a beat
does (measured, 24 to 30 us), so once a second would save little and find a hang half a second later. Its /health does no inference; it
closes each connection after the 100th page (measured)."""
