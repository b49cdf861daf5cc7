"""The promises of the sequential test, by simulation: seeded, so that a run says the same each time."""

from __future__ import annotations

import random
from math import log

import pytest

from allod.domain.serving.canary.sequential import Look, Stake, evidence

LEVEL = log(100)
"""Of an error probability of 1 %."""
LOOKS = 100
PER_LOOK = 40
"""Requests of both revisions together between two looks."""


def drawn(source: random.Random, requests: int, probability: float) -> int:
    return sum(source.random() < probability for _ in range(requests))


def first_alarm(source: random.Random, share: float, new: float, old: float, allowed: float = 0.0, *, looks: int = LOOKS) -> int | None:
    """Requests of the new revision until it is found worse. None: it is not within all looks."""
    stake, seen = Stake(), 0
    for _ in range(looks):
        ours = drawn(source, PER_LOOK, share)
        theirs = PER_LOOK - ours
        seen += ours
        stake = stake.after(Look(ours, drawn(source, ours, new), theirs, drawn(source, theirs, old)), allowed)
        if evidence(stake) >= LEVEL:
            return seen
    return None


@pytest.mark.parametrize(
    ("share", "new", "old", "allowed"),
    [
        (0.1, 0.02, 0.02, 0.0),
        (0.5, 0.02, 0.02, 0.0),
        (0.5, 0.5, 0.5, 0.0),
        (0.05, 0.05, 0.05, 0.0),
        (0.1, 0.01, 0.0, 0.01),
        (0.5, 0.01, 0.0, 0.01),
    ],
)
def test_without_a_regression_it_raises_the_alarm_at_most_as_often_as_promised(
    share: float, new: float, old: float, allowed: float
) -> None:
    source, runs = random.Random(7), 200  # noqa: S311  # a simulation
    alarms = sum(first_alarm(source, share, new, old, allowed) is not None for _ in range(runs))
    assert alarms <= 0.01 * runs + 2 * (0.01 * runs) ** 0.5, f"{alarms} of {runs}: more than 1 % and what chance adds to it"


def test_load_and_errors_that_rise_and_fall_together_raise_no_alarm() -> None:
    source, alarms = random.Random(11), 0  # noqa: S311  # a simulation
    for _ in range(100):
        stake, worst = Stake(), 0.0
        for look in range(LOOKS):
            bad, share = (0.3, 0.5) if 50 <= look < 60 else (0.005, 0.1)  # an outage for both, while the share is another
            ours = drawn(source, PER_LOOK, share)
            theirs = PER_LOOK - ours
            stake = stake.after(Look(ours, drawn(source, ours, bad), theirs, drawn(source, theirs, bad)))
            worst = max(worst, evidence(stake))
        alarms += worst >= LEVEL
    assert alarms <= 3


@pytest.mark.parametrize(("new", "within"), [(0.10, 150), (0.03, 700)])
def test_a_real_regression_is_found_soon(new: float, within: int) -> None:
    source, runs = random.Random(3), 100  # noqa: S311  # a simulation
    found = [first_alarm(source, 0.1, new, 0.005, looks=200) for _ in range(runs)]
    assert sum(each is not None and each <= within for each in found) >= 0.95 * runs


def test_one_side_alone_says_nothing() -> None:
    assert Stake().after(Look(50, 50, 0, 0)) == Stake() == Stake().after(Look(0, 0, 50, 50))


def test_without_anything_seen_there_is_no_evidence() -> None:
    assert evidence(Stake(), Stake()) == pytest.approx(0)
