"""What an engine counted: numbers and histograms, and how two such countings add up or differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from operator import add, sub
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Buckets:
    """A histogram as Prometheus writes it: how many observations took at most so long."""

    bounds: tuple[float, ...] = ()
    """Seconds, rising; the last is infinite."""
    counts: tuple[float, ...] = ()
    """Of all observations up to each bound."""

    @property
    def total(self) -> float:
        """Observations."""
        return self.counts[-1] if self.counts else 0.0

    def plus(self, other: Buckets) -> Buckets:
        """Both together."""
        return self._with(other, add) if self.bounds else other

    def minus(self, earlier: Buckets) -> Buckets:
        """What came since."""
        return self._with(earlier, sub)

    def fell(self, before: Buckets) -> bool:
        """Whether some bucket, by itself, holds less than before, which only a new start can do."""
        return any(later < earlier for earlier, later in pairwise((0.0, *self.minus(before).counts)))

    def quantile(self, part: float) -> float | None:
        """Seconds within which this part of the observations was, as PromQL's histogram_quantile estimates it. None without any.

        Within a bucket observations count as evenly spread. One that is beyond the last finite bound counts as that bound.
        """
        if not self.total or len(self.bounds) < 2:  # noqa: PLR2004  # an infinite bound alone says nothing
            return None
        rank, below, lower = part * self.total, 0.0, 0.0
        for bound, count in zip(self.bounds, self.counts, strict=True):
            if count >= rank and count > below:
                return lower if bound == inf else lower + (bound - lower) * (rank - below) / (count - below)
            below, lower = max(below, count), bound
        return None

    def _with(self, other: Buckets, combine: Callable[[float, float], float]) -> Buckets:
        if not other.bounds:
            return self
        if self.bounds == other.bounds:
            return Buckets(self.bounds, tuple(map(combine, self.counts, other.counts)))
        # What two histograms count up to a bound that both have is comparable, whatever bounds lie between.
        theirs = dict(zip(other.bounds, other.counts, strict=True))
        shared = [(bound, combine(count, theirs[bound])) for bound, count in zip(self.bounds, self.counts, strict=True) if bound in theirs]
        return Buckets(tuple(bound for bound, _ in shared), tuple(count for _, count in shared))


NOTHING = Buckets()


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted, by the names of `engine/metrics.py`."""

    numbers: Mapping[str, float] = field(default_factory=dict)
    """By counter; one that is absent is 0."""
    times: Mapping[str, Buckets] = field(default_factory=dict)
    """By metric of an SLO; one that is absent is not known."""

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        numbers = {name: self.numbers.get(name, 0.0) + other.numbers.get(name, 0.0) for name in {**self.numbers, **other.numbers}}
        times = {name: times.plus(other.times.get(name, NOTHING)) for name, times in self.times.items()}
        return Counts(numbers, {**other.times, **times})

    def minus(self, earlier: Counts) -> Counts:
        """What came since. Of a histogram that was not there earlier nobody can say."""
        numbers = {name: number - earlier.numbers.get(name, 0.0) for name, number in self.numbers.items()}
        return Counts(numbers, {name: self.times[name].minus(times) for name, times in earlier.times.items() if name in self.times})

    def fell(self, before: Counts) -> bool:
        """Whether anything is smaller than before: all of it is counted by one process, so then all of it began anew."""
        fewer = any(self.numbers.get(name, 0.0) < number for name, number in before.numbers.items())
        return fewer or any(self.times[name].fell(times) for name, times in before.times.items() if name in self.times)
