"""Waiting until something is so, with a clear end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from box.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSE = 0.05
"""Seconds between two looks: short beside what is waited for, long beside what a look costs."""


def until(what: str, true: Callable[[], bool], *, seconds: float, todo: str = "Look at the logs: python3 tests/box logs") -> None:
    """Returns when `true()` is, or raises `Failed`. An OSError counts as "not yet": a server that starts refuses connections."""
    end = time.monotonic() + seconds
    reason = ""
    while time.monotonic() < end:
        try:
            if true():
                return
        except OSError as error:
            reason = f" ({error})"
        time.sleep(PAUSE)
    raise Failed(f"After {seconds:g} s still not so: {what}{reason}.", todo)
