from __future__ import annotations

from datetime import timedelta

from allod.domain.conditions import Condition, stamped
from allod.domain.quantity import count, duration, memory, memory_field
from unit.domain.simulation import START

READY = Condition("Ready", "True", "Serving", "it serves")


def test_the_time_of_a_condition_is_when_its_answer_changed() -> None:
    first = stamped([READY], [], 1, START)
    assert first[0]["lastTransitionTime"] == "2026-11-20T02:00:00Z"
    later = START + timedelta(minutes=5)
    same = stamped([Condition("Ready", "True", "StillServing", "it serves well")], first, 2, later)
    assert same[0]["lastTransitionTime"] == "2026-11-20T02:00:00Z"
    assert (same[0]["reason"], same[0]["observedGeneration"]) == ("StillServing", 2)
    flipped = stamped([Condition("Ready", "False", "Down", "it does not")], same, 2, later)
    assert flipped[0]["lastTransitionTime"] == "2026-11-20T02:05:00Z"


def test_a_condition_is_never_longer_than_kubernetes_takes() -> None:
    assert len(stamped([Condition("Ready", "False", "Long", "x" * 50_000)], [], 1, START)[0]["message"]) == 32_768


def test_amounts_read_as_a_person_writes_them() -> None:
    assert [memory(28.1 * 2**30), memory(94 * 2**20)] == ["28.1 GiB", "94 MiB"]
    assert [memory_field(28.1 * 2**30), memory_field(94 * 2**20)] == ["28.1Gi", "94Mi"]
    assert [duration(2.5), duration(45), duration(1800), duration(5400), duration(3661)] == ["2.5s", "45s", "30m", "1h30m", "1h1m1s"]
    assert [count(1, "GPU"), count(2, "GPU"), count(0, "GPU")] == ["1 GPU", "2 GPUs", "0 GPUs"]
