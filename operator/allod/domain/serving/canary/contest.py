"""A new revision against the active one, over the same time: errors, and latencies by the buckets of the engines' histograms.

Errors: a bad request is one that failed, and `maxRegressionPercent` of a hundred more may.

Latencies: if the new revision's are at most r percent longer, then whatever the time t is, no larger part of its requests takes longer
than t(1 + r) than of the old one's takes longer than t. So a bad request of the old one is one above t, a bad one of the new one is one
above the first bucket bound that is at least t(1 + r). Two t are bet on: both bounds of the bucket in which the old one's quantile lies,
by what it was before this look. So a regression is found when it is larger than allowed by the width of a bucket, and never because
buckets are wide.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, log
from typing import TYPE_CHECKING

from allod.domain.serving.canary.sequential import Look, Stake, evidence
from allod.domain.serving.health.counts import NOTHING, Buckets, Counts
from allod.domain.serving.health.windows import failures, requests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from allod.api.canary import Comparison

CHANCE = 0.01
"""At most this is the probability that a canary that is no worse than allowed is given up by all its comparisons together."""
ROUNDING = 1e-9
"""Of a bound times a factor: 0.25 s and 100 % are 0.5 s."""


@dataclass(frozen=True, slots=True)
class Side:
    """What one revision did since the contest began."""

    requests: int = 0
    errors: int = 0
    times: Buckets = NOTHING
    """Of the metric, where it is a latency."""

    def plus(self, counts: Counts, metric: str) -> Side:
        """And what came since."""
        times = counts.times.get(metric, NOTHING)
        return Side(self.requests + requests(counts), self.errors + failures(counts), self.times.plus(times))


@dataclass(frozen=True, slots=True)
class Contest:
    """One comparison so far."""

    new: Side = Side()
    old: Side = Side()
    stakes: tuple[Stake, Stake] = (Stake(), Stake())
    """Of an error ratio the first alone; of a latency one for each bound of the bucket."""

    def after(self, rule: Comparison, new: Counts, old: Counts) -> Contest:
        """One look more: what both counted since the last one."""
        return Contest(self.new.plus(new, rule.metric), self.old.plus(old, rule.metric), self._stakes(rule, new, old))

    def sample(self, rule: Comparison) -> int:
        """Requests of the new revision that were compared."""
        return self.new.requests if rule.metric == "ErrorRatio" else round(self.new.times.total)

    def lost(self, rule: Comparison, among: int) -> bool:
        """Whether the new revision is worse than allowed. `among` so many comparisons, which share what is left to chance."""
        counted = self.stakes[:1] if rule.metric == "ErrorRatio" else self.stakes
        return evidence(*counted) >= log(among / CHANCE)

    def _stakes(self, rule: Comparison, new: Counts, old: Counts) -> tuple[Stake, Stake]:
        first, second = self.stakes
        if rule.metric == "ErrorRatio":
            look = Look(requests(new), failures(new), requests(old), failures(old))
            return first.after(look, rule.max_regression_percent / 100), second
        ours, theirs = new.times.get(rule.metric, NOTHING), old.times.get(rule.metric, NOTHING)
        lower, upper = around(self.old.times, rule.quantile.value if rule.quantile else 0.5)
        factor = 1 + rule.max_regression_percent / 100
        return first.after(_above(ours, theirs, lower, factor)), second.after(_above(ours, theirs, upper, factor))


NOBODY = Look(0, 0, 0, 0)


def around(times: Buckets, quantile: float) -> tuple[float, float]:
    """Both bounds of the bucket in which the quantile lies, seconds. Infinite where there is none, or nothing was observed yet."""
    below = inf
    for bound, count in zip(times.bounds, times.counts, strict=True):
        if times.total and count >= quantile * times.total:
            return below, bound
        below = bound
    return inf, inf


def _above(new: Buckets, old: Buckets, bound: float, factor: float) -> Look:
    """Requests above the bound, and those of the new revision above the factor times it."""
    least = bound * factor * (1 - ROUNDING)
    reach = next((each for each in new.bounds if each >= least), inf)
    if inf in (bound, reach) or bound not in old.bounds:
        return NOBODY
    return Look(new.total, new.total - _upto(new, reach), old.total, old.total - _upto(old, bound))


def _upto(times: Buckets, bound: float) -> float:
    return times.counts[times.bounds.index(bound)]


@dataclass(frozen=True, slots=True)
class Duel:
    """All comparisons of two revisions."""

    new: str
    """Hash of the one on trial."""
    old: str
    """Hash of the active one."""
    rules: tuple[Comparison, ...]
    contests: Mapping[Comparison, Contest] = field(default_factory=dict)

    def after(self, new: Counts, old: Counts) -> Duel:
        """One look more."""
        contests = {rule: self.contests.get(rule, Contest()).after(rule, new, old) for rule in self.rules}
        return Duel(self.new, self.old, self.rules, contests)

    def sample(self) -> int:
        """Requests of the new revision that were compared."""
        return max((contest.new.requests for contest in self.contests.values()), default=0)

    def lost(self, least: int) -> tuple[Comparison, Contest] | None:
        """The first comparison in which the new revision is worse than allowed, with at least so many requests. None: there is none."""
        for rule, contest in self.contests.items():
            if contest.sample(rule) >= least and contest.lost(rule, len(self.rules)):
                return rule, contest
        return None
