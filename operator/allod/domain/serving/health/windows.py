"""What the engines of a revision counted over a length of time: requests, errors, latencies.

    page -> Reading -> Track of a pod (samples that only grow, thinned by age) -> Window of a revision

A counter of an engine begins anew with each of its starts. A track adds up what was counted since the last look, so a restart is
taken out once, when it is seen, and a window is the difference of two samples: never negative, and split windows add up to the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from allod.domain.serving.health.counts import Counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from allod.domain.serving.health.counts import Buckets

STALE = 35.0
"""Seconds without an answer after which a pod no longer counts: three looks of 10 s failed."""
GRAIN = 16
"""Samples lie at most a 16th of their age apart (or one look), so that no window is longer than it should be by more than 6 %."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the metrics page of one pod."""

    counts: Counts
    """Since the start of its engine."""
    started: float | None = None
    """When that was, on the pod's clock. None: it does not say."""
    waiting: int = 0
    """Requests in the queue now."""
    kv_usage: float = 0.0
    """Part of the KV cache that is in use now."""

    def follows(self, before: Reading) -> bool:
        """Whether it is of the same start of the engine."""
        known = self.started is not None and before.started is not None
        return not (known and self.started != before.started) and not self.counts.fell(before.counts)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a pod was seen to count since we began to look."""

    at: float
    """Seconds of any steady clock."""
    counts: Counts


@dataclass(frozen=True, slots=True)
class Track:
    """What one pod was seen to count, by time."""

    samples: tuple[Sample, ...] = ()
    """Oldest first."""
    last: Reading | None = None

    def heard(self, at: float, reading: Reading, keep: float) -> Track:
        """One look more, later than all before. What windows of `keep` seconds no longer need is forgotten."""
        if self.last is None:
            return Track((Sample(at, reading.counts.minus(reading.counts)),), reading)
        seen = self.samples[-1].counts
        if not reading.follows(self.last):
            seen = seen.plus(reading.counts)
        elif reading.counts != self.last.counts:  # samples of a quiet pod share one object
            seen = seen.plus(reading.counts.minus(self.last.counts))
        return Track(tuple(_thinned(_needed((*self.samples, Sample(at, seen)), at - keep))), reading)

    def over(self, seconds: float) -> tuple[Counts, bool]:
        """What it counted in the last seconds before its last sample, and whether it was seen for as long."""
        end = self.samples[-1]
        begin = next((each for each in reversed(self.samples) if each.at <= end.at - seconds), None)
        return end.counts.minus((begin or self.samples[0]).counts), begin is not None


def _needed(samples: tuple[Sample, ...], begin: float) -> tuple[Sample, ...]:
    """Those since `begin`, and the one before it."""
    first = max((index for index, each in enumerate(samples) if each.at <= begin), default=0)
    return samples[first:]


def _thinned(samples: tuple[Sample, ...]) -> Iterator[Sample]:
    """Two or more of them, without those whose neighbours lie close enough together for their age."""
    first, *middle, last = samples
    yield (before := first)
    for each, after in pairwise([*middle, last]):
        if after.at - before.at > (last.at - after.at) / GRAIN:
            yield (before := each)
    yield last


@dataclass(frozen=True, slots=True)
class Window:
    """What the pods of one revision did over a length of time."""

    seconds: float
    full: bool
    """The revision was seen for as long. Until then nothing may be concluded."""
    requests: int
    """That were answered or failed: without clients' mistakes, without what a full queue turned away, without our own."""
    errors: int
    """Those of them that failed."""
    times: Mapping[str, Buckets] = field(default_factory=dict)
    """By metric of an SLO."""
    waiting: int = 0
    """Requests in queues now."""
    kv_usage: float = 0.0
    """Of the pod whose KV cache is fullest now, 0 to 1."""

    @property
    def error_ratio(self) -> float:
        """0 without requests."""
        return self.errors / self.requests if self.requests else 0.0


def window(tracks: Iterable[Track], seconds: float, now: float, stale: float = STALE) -> Window:
    """Sum up the pods of a revision. It is full when one of them was seen for so long: others may have come since.

    `stale`: seconds after which a pod that was not seen any more no longer counts.
    """
    counts, full, readings = Counts(), False, []
    for track in tracks:
        if track.last is None or now - track.samples[-1].at > stale:
            continue
        more, whole = track.over(seconds)
        counts, full = counts.plus(more), full or whole
        readings.append(track.last)
    waiting, usage = sum(each.waiting for each in readings), max((each.kv_usage for each in readings), default=0.0)
    return Window(seconds, full, requests(counts), failures(counts), counts.times, waiting, usage)


def requests(counts: Counts) -> int:
    """That were answered or failed: without clients' mistakes, without what a full queue turned away, without our own."""
    numbers = counts.numbers
    ended = numbers.get("answered", 0.0) + numbers.get("failed", 0.0)
    return max(0, round(ended - sum(numbers.get(name, 0.0) for name in ("refused", "own_answered", "own_failed"))))


def failures(counts: Counts) -> int:
    """Those of them that failed, at once or as a stream; `engine/metrics.py` says how they are told apart."""
    numbers = counts.numbers
    answered = numbers.get("failed", 0.0) - numbers.get("refused", 0.0) - numbers.get("own_failed", 0.0)
    return min(requests(counts), max(0, round(answered)) + round(numbers.get("broken", 0.0)))
