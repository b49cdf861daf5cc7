from __future__ import annotations

import random
from math import inf
from typing import TYPE_CHECKING, Any

import pytest

from allod.api.canary import Comparison
from allod.domain.serving.canary.canary import verdict
from allod.domain.serving.canary.contest import Contest, Duel, around
from allod.domain.serving.health.counts import Buckets, Counts

if TYPE_CHECKING:
    from collections.abc import Callable

BOUNDS = (0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, inf)
NEW, OLD = "7c9f4d21", "5b21aa0c"


def rule(metric: str = "ErrorRatio", percent: int = 0, **more: Any) -> Comparison:
    quantile = {} if metric == "ErrorRatio" else {"quantile": "0.95"}
    return Comparison.model_validate({"metric": metric, "maxRegressionPercent": percent, **quantile, **more})


ERRORS, TTFT = rule(), rule("TTFTSeconds", 20)


def counted(times: list[float], failed: int = 0) -> Counts:
    """What an engine counts of requests with these times to the first token."""
    buckets = Buckets(BOUNDS, tuple(float(sum(time <= bound for time in times)) for bound in BOUNDS))
    return Counts({"answered": len(times), "failed": failed}, {"TTFTSeconds": buckets})


def fought(new: Callable[[random.Random], float], old: Callable[[random.Random], float], looks: int, *rules: Comparison) -> Duel:
    """A duel in which each look has two requests of the new revision and twenty of the old."""
    source, duel = random.Random(5), Duel(NEW, OLD, rules)  # noqa: S311  # a simulation
    for _ in range(looks):
        duel = duel.after(counted([new(source) for _ in range(2)]), counted([old(source) for _ in range(20)]))
    return duel


def usual(source: random.Random) -> float:
    return source.lognormvariate(-1.2, 0.4)  # p50 0.30 s, p95 0.58 s


def slower(factor: float) -> Callable[[random.Random], float]:
    return lambda source: factor * usual(source)


@pytest.mark.parametrize(
    ("factor", "looks", "lost"),
    [(1.0, 400, False), (1.2, 400, False), (2.0, 100, True), (3.0, 40, True)],
    ids=["the same", "as much slower as is allowed", "twice as slow", "three times as slow"],
)
def test_a_latency_is_compared_by_buckets(factor: float, looks: int, lost: bool) -> None:  # noqa: FBT001  # a column of the table
    assert (fought(slower(factor), usual, looks, TTFT).lost(50) is not None) is lost


def test_equal_latencies_are_seldom_told_apart_however_coarse_the_buckets() -> None:
    alarms = 0
    for seed in range(100):
        source, contest = random.Random(seed), Contest()  # noqa: S311  # a simulation
        lost = False
        for _ in range(60):
            ours, theirs = [1.2 * usual(source) for _ in range(10)], [usual(source) for _ in range(40)]
            contest = contest.after(TTFT, counted(ours), counted(theirs))
            lost = lost or contest.lost(TTFT, 1)
        alarms += lost
    assert alarms <= 3


def test_another_engine_version_with_other_buckets_is_compared_by_the_bounds_that_suffice() -> None:
    fine = tuple(bound / 2 for bound in BOUNDS)
    duel = Duel(NEW, OLD, (TTFT,))
    for _ in range(20):
        new = Counts({"answered": 5.0}, {"TTFTSeconds": Buckets(fine, (0, 0, 0, 0, 0, 0, 5, 5))})
        duel = duel.after(new, counted([0.3] * 20))
    assert duel.lost(50)


def test_what_lies_beyond_the_last_bucket_cannot_be_compared() -> None:
    assert fought(lambda _: 90.0, lambda _: 80.0, 60, TTFT).lost(1) is None


@pytest.mark.parametrize(("failed", "percent", "lost"), [(1, 0, True), (0, 0, False), (1, 60, False)])
def test_errors_are_compared_with_what_is_allowed(failed: int, percent: int, lost: bool) -> None:  # noqa: FBT001  # a column of the table
    errors = rule(percent=percent)
    duel = Duel(NEW, OLD, (errors,))
    for _ in range(30):
        duel = duel.after(Counts({"answered": 1.0, "failed": failed}), Counts({"answered": 20.0}))
    assert (duel.lost(30) is not None) is lost


def test_nothing_is_concluded_from_fewer_requests_than_the_least() -> None:
    duel = Duel(NEW, OLD, (ERRORS,)).after(Counts({"failed": 49.0}), Counts({"answered": 1000.0}))
    assert verdict(duel, NEW, OLD, 50) is None
    assert verdict(duel.after(Counts({"failed": 1.0}), Counts({"answered": 20.0})), NEW, OLD, 50) is not None
    assert verdict(duel, NEW, "another", 1) is None, "it is about other revisions"


def test_the_sentences_have_the_numbers() -> None:
    duel = Duel(NEW, OLD, (ERRORS,)).after(Counts({"answered": 188.0, "failed": 12.0}), Counts({"answered": 5000.0, "failed": 5.0}))
    found = verdict(duel, NEW, OLD, 50)
    assert found
    assert (found.reason, found.message) == (
        "CanaryErrors",
        "errors 0.060 (12 of 200) against 0.001 (5 of 5005) of 5b21aa0c, 0 percent more are allowed",
    )
    slow = Duel(NEW, OLD, (TTFT,))
    for _ in range(20):
        slow = slow.after(counted([2.0] * 5), counted([0.2] * 20))
    found = verdict(slow, NEW, OLD, 50)
    assert found
    assert found.reason == "CanaryLatency"
    assert found.message == "p95 of TTFT about 2.42 s against 0.242 s of 5b21aa0c in 100 samples against 400, 20 percent more are allowed"


@pytest.mark.parametrize(
    ("counts", "bounds"),
    [((), (inf, inf)), ((0, 0, 0, 0, 0, 0, 0, 0), (inf, inf)), ((0, 10, 10, 10, 10, 10, 10, 10), (0.1, 0.25)), ((10,) * 8, (inf, 0.1))],
    ids=["nothing known", "nothing observed", "one bucket", "the first bucket"],
)
def test_a_quantile_lies_between_two_bounds(counts: tuple[float, ...], bounds: tuple[float, float]) -> None:
    assert around(Buckets(BOUNDS[: len(counts)], counts), 0.95) == bounds
