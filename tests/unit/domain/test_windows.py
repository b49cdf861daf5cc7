from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allod.domain.serving.health.counts import Buckets, Counts
from allod.domain.serving.health.windows import GRAIN, STALE, Reading, Track, Window, window

BOUNDS = (0.1, 0.5, 1.0, 2.5, inf)
LOOK = 10.0


def buckets(*counts: float, bounds: tuple[float, ...] = BOUNDS) -> Buckets:
    return Buckets(bounds, counts)


def reading(started: float | None = 1.0, ttft: Buckets | None = None, **numbers: float) -> Reading:
    return Reading(Counts(numbers, {"TTFTSeconds": ttft} if ttft else {}), started)


def track(*readings: Reading, keep: float = 3600.0, look: float = LOOK) -> Track:
    """Looks one after the other, the first at 0."""
    heard = Track()
    for number, each in enumerate(readings):
        heard = heard.heard(number * look, each, keep)
    return heard


def seen(one: Track, seconds: float) -> Window:
    return window([one], seconds, one.samples[-1].at)


# Quantiles


@pytest.mark.parametrize(
    ("part", "counts", "seconds"),
    [
        (0.5, (0, 10, 10, 10, 10), 0.3),
        (0.5, (10, 10, 10, 10, 10), 0.05),
        (0.99, (0, 0, 0, 100, 100), 2.485),
        (0.9, (0, 0, 0, 0, 10), 2.5),
        (0.5, (0, 0, 0, 5, 10), 2.5),
        (0.2, (1, 2, 3, 4, 5), 0.1),
        (0.5, (0, 0, 0, 0, 0), None),
        (0.5, (4, 3, 4, 4, 4), 0.05),
    ],
    ids=str,
)
def test_a_quantile_is_estimated_as_promql_does(part: float, counts: tuple[float, ...], seconds: float | None) -> None:
    assert buckets(*counts).quantile(part) == (seconds if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("none", [Buckets(), Buckets((inf,), (7.0,))], ids=["empty", "one infinite bucket"])
def test_buckets_without_a_finite_bound_have_no_quantile(none: Buckets) -> None:
    assert none.quantile(0.5) is None


HISTOGRAM = st.lists(st.integers(0, 1000), min_size=len(BOUNDS), max_size=len(BOUNDS)).map(
    lambda each: buckets(*(float(sum(each[: index + 1])) for index in range(len(BOUNDS))))
)
PART = st.floats(0.0001, 0.9999)


@given(HISTOGRAM, PART, PART)
def test_a_quantile_grows_with_its_part(found: Buckets, one: float, other: float) -> None:
    low, high = found.quantile(min(one, other)), found.quantile(max(one, other))
    assert (low is None and high is None) or (low is not None and high is not None and low <= high + 1e-9)


@given(HISTOGRAM.filter(lambda found: found.total > 0), PART)
def test_a_quantile_lies_in_the_bucket_that_holds_it(found: Buckets, part: float) -> None:
    value, rank = found.quantile(part), part * found.total
    assert value is not None
    index = next(index for index, count in enumerate(found.counts) if count >= rank)
    lower, upper = (0.0, *BOUNDS)[index], BOUNDS[index]
    assert value == lower if upper == inf else lower <= value <= upper


@given(HISTOGRAM, HISTOGRAM)
def test_histograms_add_up_and_come_apart(one: Buckets, other: Buckets) -> None:
    assert one.plus(other).minus(other) == one
    assert one.plus(other) == other.plus(one)


def test_histograms_with_other_bounds_are_summed_up_to_the_bounds_that_both_have() -> None:
    other = buckets(1, 3, 4, bounds=(0.2, 1.0, inf))
    assert buckets(1, 2, 3, 4, 5).plus(other) == buckets(6, 9, bounds=(1.0, inf))


# Tracks


def test_a_window_is_what_came_within_its_time() -> None:
    one = track(*(reading(answered=10.0 * number, failed=1.0 * number) for number in range(7)))
    assert (seen(one, 30).requests, seen(one, 30).errors) == (33, 3)
    assert (seen(one, 60).requests, seen(one, 60).errors) == (66, 6)


def test_what_was_counted_before_the_first_look_is_not_of_the_window() -> None:
    one = track(reading(answered=1000.0), reading(answered=1001.0))
    assert seen(one, 30).requests == 1


@pytest.mark.parametrize(
    ("after", "more"),
    [
        (reading(started=2.0, answered=7.0), 7),
        (reading(started=2.0, answered=90.0), 90),
        (reading(started=2.0, answered=50.0), 50),
        (reading(started=None, answered=7.0), 7),
        (reading(started=1.0, answered=7.0), 7),
        (reading(started=None, answered=90.0), 40),
        (reading(started=1.0, answered=50.0), 0),
    ],
    ids=["fell", "overtook", "came to the same", "does not say, fell", "says no, fell", "does not say, rose", "no restart"],
)
def test_after_a_restart_an_engine_counts_from_nothing(after: Reading, more: int) -> None:
    before = reading(started=1.0, answered=50.0)
    assert seen(track(before, before, after), 30).requests == more
    assert seen(track(before, before, after, after), 30).requests == more


def test_one_counter_that_fell_tells_of_a_restart_of_them_all() -> None:
    one = track(reading(None, answered=5.0, failed=9.0), reading(None, answered=6.0, failed=0.0))
    assert (seen(one, 30).requests, seen(one, 30).errors) == (6, 0)
    two = track(reading(None, buckets(0, 0, 0, 5, 5), answered=5.0), reading(None, buckets(3, 3, 3, 5, 5), answered=6.0))
    assert seen(two, 30).requests == 6
    two = track(reading(None, buckets(3, 3, 3, 3, 3), answered=5.0), reading(None, buckets(0, 0, 0, 0, 1), answered=6.0))
    assert seen(two, 30).requests == 6


def test_a_histogram_that_came_later_is_not_known_over_the_whole_window() -> None:
    """An objective was added: what the engine counted since its start says nothing about the window."""
    late = [reading(ttft=buckets(0, 0, 900, 900, 900 + number), answered=1.0 * number) for number in range(8)]
    one = track(*(reading(answered=0.0) for _ in range(8)), *late)
    assert seen(one, 120).times == {}
    assert seen(one, 60).times == {"TTFTSeconds": buckets(0, 0, 0, 0, 6)}


def test_a_window_is_full_when_the_pod_was_seen_for_as_long() -> None:
    one = track(*(reading() for _ in range(13)))
    assert [seen(one, seconds).full for seconds in (30, 120, 121)] == [True, True, False]


def test_what_no_window_needs_is_forgotten() -> None:
    one = track(*(reading(answered=float(number)) for number in range(1000)), keep=30)
    assert len(one.samples) == 4


def test_samples_of_an_hour_are_few_and_close_enough() -> None:
    one = track(*(reading(answered=float(number)) for number in range(1000)))
    assert len(one.samples) < 100
    assert 3600 <= one.samples[-1].at - one.samples[0].at <= 3600 * (1 + 1 / GRAIN)
    for before, after in pairwise(one.samples):
        assert after.at - before.at <= max(LOOK, (one.samples[-1].at - after.at) / GRAIN)
    for seconds in (30, 60, 120, 300, 900, 3600):
        found = seen(one, seconds)
        assert found.full
        assert seconds / LOOK <= found.requests <= max(seconds / LOOK * (1 + 1 / GRAIN), seconds / LOOK + 1)


def test_a_quiet_pod_costs_no_memory_for_its_counts() -> None:
    one = track(*(reading(answered=5.0) for _ in range(100)))
    assert len({id(each.counts) for each in one.samples}) == 1


# Histories at random

STEP = st.tuples(st.integers(0, 50), st.integers(0, 50), HISTOGRAM, st.booleans())
"""Answered, failed and TTFT since the last look, and whether the engine was started anew before."""


def history(steps: list[tuple[int, int, Buckets, bool]], *, says_start: bool) -> tuple[Track, list[tuple[int, int]]]:
    """The track, and what was really counted at each look."""
    start, counts, heard, real = 1.0, Counts({"answered": 0.0, "failed": 0.0}, {"TTFTSeconds": buckets(0, 0, 0, 0, 0)}), Track(), []
    for number, (answered, failed, ttft, restarted) in enumerate(steps):
        grown = Counts({"answered": float(answered), "failed": float(failed)}, {"TTFTSeconds": ttft})
        start, counts = (start + 1, grown) if restarted else (start, counts.plus(grown))
        heard = heard.heard(number * LOOK, Reading(counts, start if says_start else None), 3600)
        real.append((answered, failed))
    return heard, real


@given(st.lists(STEP, min_size=2, max_size=30))
def test_an_engine_that_says_when_it_started_is_counted_exactly(steps: list[tuple[int, int, Buckets, bool]]) -> None:
    one, real = history(steps, says_start=True)
    found = seen(one, 1e6)
    assert (found.requests, found.errors) == (sum(a + f for a, f in real[1:]), sum(f for _, f in real[1:]))
    assert found.times["TTFTSeconds"].total == sum(step[2].total for step in steps[1:])


@given(st.lists(STEP, min_size=2, max_size=30), st.booleans(), st.integers(1, 40))
def test_no_restart_makes_a_count_negative(steps: list[tuple[int, int, Buckets, bool]], says_start: bool, looks: int) -> None:  # noqa: FBT001  # Hypothesis gives it
    one, _ = history(steps, says_start=says_start)
    counts, _ = one.over(looks * LOOK)
    assert min(counts.numbers.values()) >= 0
    times = counts.times["TTFTSeconds"].counts
    assert min(times) >= 0
    assert list(times) == sorted(times)


@given(st.lists(STEP, min_size=3, max_size=30), st.booleans(), st.data())
def test_split_windows_add_up_to_the_whole(steps: list[tuple[int, int, Buckets, bool]], says_start: bool, data: st.DataObject) -> None:  # noqa: FBT001  # Hypothesis gives it
    whole, _ = history(steps, says_start=says_start)
    at = data.draw(st.integers(1, len(whole.samples) - 1))
    early = replace(whole, samples=whole.samples[: at + 1])
    later = whole.samples[-1].at - whole.samples[at].at
    assert early.over(1e6)[0].plus(whole.over(later)[0] if later else Counts()) == whole.over(1e6)[0]


# Revisions


def test_the_pods_of_a_revision_are_summed_up() -> None:
    one = track(*(reading(ttft=buckets(0, 0, 0, 0, number), answered=2.0 * number) for number in range(5)))
    other = track(*(reading(ttft=buckets(number, number, number, number, number), failed=1.0 * number) for number in range(5)))
    found = window([one, other], 30, 40)
    assert (found.requests, found.errors, found.error_ratio, found.full) == (9, 3, 1 / 3, True)
    assert found.times["TTFTSeconds"] == buckets(3, 3, 3, 3, 6)


def test_a_pod_that_came_later_leaves_the_window_full() -> None:
    old, new = track(*(reading(answered=1.0 * number) for number in range(5))), Track().heard(35, reading(answered=7.0), 60)
    new = new.heard(40, reading(answered=9.0), 60)
    found = window([old, new], 40, 40)
    assert (found.full, found.requests) == (True, 6)


def test_a_pod_that_has_not_answered_for_long_no_longer_counts() -> None:
    one = track(*(reading(answered=1.0 * number) for number in range(5)))
    assert window([one], 30, 40 + STALE).full
    assert window([one], 30, 41 + STALE) == Window(30, full=False, requests=0, errors=0)


def test_without_pods_there_is_an_empty_window() -> None:
    assert window([Track()], 30, 0) == Window(30, full=False, requests=0, errors=0)
    assert Window(30, full=True, requests=0, errors=0).error_ratio == 0


@pytest.mark.parametrize(
    ("numbers", "requests", "errors"),
    [
        ({"answered": 90.0, "failed": 10.0}, 100, 10),
        ({"answered": 90.0, "failed": 10.0, "refused": 10.0}, 90, 0),
        ({"answered": 90.0, "failed": 10.0, "refused": 30.0}, 70, 0),
        ({"answered": 100.0, "broken": 5.0}, 100, 5),
        ({"answered": 95.0, "failed": 5.0, "broken": 8.0}, 100, 13),
        ({"answered": 95.0, "failed": 5.0, "refused": 5.0, "broken": 8.0}, 95, 8),
        ({"answered": 10.0, "own_answered": 6.0}, 4, 0),
        ({"answered": 10.0, "failed": 3.0, "own_failed": 2.0}, 11, 1),
        ({"failed": 2.0, "own_failed": 3.0}, 0, 0),
        ({"answered": 2.0, "broken": 40.0}, 2, 2),
    ],
    ids=str,
)
def test_what_counts_as_a_request_and_what_as_an_error(numbers: dict[str, float], requests: int, errors: int) -> None:
    found = seen(track(reading(), Reading(Counts(numbers))), 30)
    assert (found.requests, found.errors) == (requests, errors)


def test_the_queue_is_that_of_all_pods_and_the_cache_that_of_the_fullest() -> None:
    one = track(replace(reading(), waiting=3, kv_usage=0.5))
    other = track(replace(reading(), waiting=4, kv_usage=0.9))
    found = window([one, other], 30, 0)
    assert (found.waiting, found.kv_usage) == (7, 0.9)
