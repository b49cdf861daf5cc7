"""Whether a revision holds its service level objectives, and what to say when it does not."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from allod.domain.quantity import count, duration
from allod.domain.serving.health.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from allod.api.slo import Slo
    from allod.domain.serving.health.windows import Window

SEVERITY = ("ErrorRatio", "EndToEndSeconds", "TTFTSeconds", "InterTokenSeconds")
"""What hurts clients most comes first: no answer, a late answer, a late beginning, a slow stream."""
CALLED = {"EndToEndSeconds": "the whole answer", "TTFTSeconds": "TTFT", "InterTokenSeconds": "the time between tokens"}
NEARLY_FULL = 0.9
"""Of the KV cache: from there on requests wait for memory, below for a place in the batch (maxNumSeqs)."""
DIGITS = 12
"""Decimals that are tried until two numbers look different."""


def measured(slo: Slo, window: Window) -> float | None:
    """The metric's value in the window. None while nothing may be concluded: the window is not full, or too few requests are in it."""
    if not window.full or requests(slo, window) < slo.min_requests:
        return None
    if slo.metric == "ErrorRatio":
        return window.error_ratio
    times = window.times.get(slo.metric)
    return times.quantile(slo.quantile.value) if times and slo.quantile else None


def requests(slo: Slo, window: Window) -> int:
    """How many requests say something about this objective: a failed one has no latency."""
    times = window.times.get(slo.metric)
    return window.requests if slo.metric == "ErrorRatio" or not times else min(window.requests, round(times.total))


def holds(slo: Slo, window: Window | None) -> bool | None:
    """None: nothing may be concluded."""
    value = measured(slo, window) if window else None
    return None if value is None else value <= slo.threshold.value


def verdicts(slos: Iterable[Slo], windows: Mapping[str, Window]) -> Mapping[str, bool | None]:
    """By the objectives' names; `windows` too."""
    return {slo.name: holds(slo, windows.get(slo.name)) for slo in slos}


def slo_finding(slos: Iterable[Slo], windows: Mapping[str, Window]) -> Finding | None:
    """What is worst about a revision, by its windows by the objectives' names. None: it holds them all, as far as can be said."""
    broken = [(slo, windows[slo.name]) for slo in slos if holds(slo, windows.get(slo.name)) is False]
    return _finding(*min(broken, key=lambda pair: _rank(*pair))) if broken else None


def _rank(slo: Slo, window: Window) -> tuple[int, float, str]:
    """Within one metric the one that is exceeded by the largest factor comes first."""
    value, limit = measured(slo, window) or 0.0, slo.threshold.value
    return SEVERITY.index(slo.metric), limit / value if value else 1.0, slo.name


def _finding(slo: Slo, window: Window) -> Finding:
    over = f"over {duration(slo.window.seconds)}, {count(requests(slo, window), 'request')}"
    value = measured(slo, window) or 0.0
    if slo.metric == "ErrorRatio":
        shown, limit = compared(value, slo.threshold, least=3)
        return Finding("SLOErrors", f"errors {shown} > {limit} {over}", "WhenAnotherServes")
    shown, limit = compared(value, slo.threshold, least=1)
    percentile = f"p{(Decimal(slo.quantile or 0) * 100).normalize():f}"
    message = f"{percentile} of {CALLED[slo.metric]} {shown} s > {limit} s {over}{_load(window)}"
    return Finding("SLOLatency", message, "WhenAnotherServes")


def _load(window: Window) -> str:
    """Why answers may be late. No numbers: one that moves at each look would be written to the status at each look."""
    if not window.waiting:
        return ""
    cache = "the KV cache is nearly full" if window.kv_usage >= NEARLY_FULL else "the KV cache has room"
    return f"; requests wait in the queue, {cache}"


def compared(value: float, limit: str, *, least: int) -> tuple[str, str]:
    """Both numbers with as many decimals as the limit was written with, at least so many, and more where they would look alike."""
    written = len(limit.partition(".")[2])
    for digits in range(max(least, written), DIGITS):
        shown, threshold = f"{value:.{digits}f}", f"{Decimal(limit):.{digits}f}"
        if shown != threshold:
            return shown, threshold
    return str(value), limit
