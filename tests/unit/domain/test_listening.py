from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import hypothesis.strategies as st
import pytest
from hypothesis import given

from allod.domain.serving.health.listening import (
    BLINK,
    CAP,
    CONNECT,
    EVIDENCE,
    FOREIGN_CAP,
    HASTE,
    LASTS,
    SILENCE,
    TICK,
    Attention,
    Listening,
)

if TYPE_CHECKING:
    from allod.domain.serving.health.beat import State

Step = Callable[["Story"], float | None]
HUNG = "hung: no engine step for 30 s while a request waits"


class Story:
    """One pod, listened to; remembers the pauses that were asked for."""

    def __init__(self, *, proven: bool = False) -> None:
        self.now = 10.0
        self.listening = Listening(proven)
        self.pauses: list[float] = []

    def tell(self, *steps: Step) -> Story:
        for step in steps:
            if (pause := step(self)) is not None:
                self.pauses.append(pause)
        return self

    @property
    def state(self) -> tuple[State, str]:
        return self.listening.state, self.listening.message


def says(state: State, words: str = "", inflight: int | None = None) -> Step:
    def step(story: Story) -> None:
        story.listening.connected(story.now)
        story.listening.heard(story.now, state, words, inflight)

    return step


def connected(story: Story) -> None:
    story.listening.connected(story.now)


def closed(story: Story) -> float:
    return story.listening.closed("closed")


def reset(story: Story) -> float:
    return story.listening.closed("reset")


def refused(story: Story) -> float:
    return story.listening.refused()


def rejected(story: Story) -> float:
    return story.listening.rejected("no route to host")


def unanswered(story: Story) -> float:
    return story.listening.unanswered()


def foreign(story: Story) -> float:
    return story.listening.foreign("GET /allod/heartbeat: status 404")


def unable(story: Story) -> float:
    return story.listening.unable("[Errno 24] Too many open files")


def silent(story: Story) -> float | None:
    """As much time as it takes, on a connection."""
    if (deadline := story.listening.deadline()) == math.inf:
        return None
    story.now = max(story.now, deadline)
    return story.listening.silent(story.now)


def seconds(count: float) -> Step:
    def step(story: Story) -> None:
        story.now += count

    return step


OK = says("Serving")
DRAINS = says("Draining", "draining: the server was told to stop")


@pytest.mark.parametrize(
    ("steps", "state", "message"),
    [
        ([], "Unknown", "not looked long enough"),
        ([OK], "Serving", "it says that it is well"),
        ([says("Serving", "watchdog: it is blind")], "Serving", "watchdog: it is blind"),
        ([OK, says("Faulty", HUNG, 4)], "Faulty", f"{HUNG}; requests in flight: 4"),
        ([OK, says("Faulty", HUNG, 4), says("Faulty", HUNG, 5)], "Faulty", f"{HUNG}; requests in flight: 4"),
        ([OK, says("Faulty", HUNG, 4), says("Faulty", "failed: status 500")], "Faulty", "failed: status 500"),
        ([OK, says("Faulty"), OK], "Serving", "it says that it is well"),
        ([OK, closed], "Serving", "it says that it is well"),
        ([OK, closed, refused], "Gone", "the connection was closed, then refused"),
        ([OK, closed, reset], "Gone", "the connection was closed, then reset"),
        ([OK, closed, closed], "Gone", "the connection was closed twice"),
        ([OK, refused, refused, refused], "Gone", "the connection was refused twice"),
        ([OK, reset, OK], "Serving", "it says that it is well"),
        ([OK, reset, OK, reset, OK], "Serving", "it says that it is well"),
        ([OK, closed, OK, closed, OK, closed], "Unknown", "no connection lasts: closed, 3 failures in a row"),
        ([OK, closed, OK, closed, OK, seconds(LASTS), OK, closed], "Serving", "it says that it is well"),
        ([OK, silent], "Silent", "no heartbeat for 1.2 s"),
        ([OK, silent, connected, silent], "Silent", "no heartbeat for 1.2 s"),
        ([OK, silent, OK], "Serving", "it says that it is well"),
        ([OK, silent, unanswered], "Unreachable", "no answer to a connection for 0.75 s"),
        ([OK, silent, refused], "Silent", "no heartbeat for 1.2 s"),
        ([OK, silent, refused, refused], "Gone", "the connection was refused twice"),
        ([OK, unanswered], "Unreachable", "no answer to a connection for 0.75 s"),
        ([OK, rejected], "Serving", "it says that it is well"),
        ([OK, rejected, rejected], "Unreachable", "the connection was rejected (no route to host) twice"),
        ([OK, foreign], "Unknown", "GET /allod/heartbeat: status 404"),
        ([OK, unable], "Unknown", "cannot look: [Errno 24] Too many open files"),
        ([OK, closed, unable, refused], "Gone", "the connection was closed, then refused"),
        ([OK, closed, refused, says("Starting", "starting: no step")], "Starting", "starting: no step"),
        ([OK, DRAINS], "Draining", "draining: the server was told to stop"),
        ([OK, DRAINS, closed, refused, refused, unanswered], "Draining", "draining: the server was told to stop"),
        ([OK, DRAINS, silent], "Draining", "draining: the server was told to stop"),
        ([OK, DRAINS, closed, says("Starting", "starting: no step")], "Starting", "starting: no step"),
        ([refused, refused], "Starting", "it has not served yet: the connection was refused twice"),
        ([connected, silent], "Starting", "it has not served yet: connected, and no word for 1.2 s"),
        ([unanswered], "Starting", "it has not served yet: no answer to a connection for 0.75 s"),
        ([says("Starting", "starting: no step"), closed, refused], "Starting", "starting: no step"),
        ([OK, closed, refused, says("Starting", "it loads its model"), closed, refused], "Starting", "it loads its model"),
    ],
)
def test_what_is_heard_makes_the_state(steps: list[Step], state: State, message: str) -> None:
    assert Story().tell(*steps).state == (state, message)


@pytest.mark.parametrize(("steps", "state"), [([refused, refused], "Gone"), ([unanswered], "Unreachable"), ([connected, silent], "Silent")])
def test_what_kubelet_has_seen_serve_is_not_starting(steps: list[Step], state: State) -> None:
    assert Story(proven=True).tell(*steps).listening.state == state


@pytest.mark.parametrize(
    ("steps", "pauses"),
    [
        ([OK, closed, refused], [0, 0.5]),
        ([OK, closed, refused, refused, refused, refused, refused, refused], [0, 0.5, 1, 2, 4, 5, 5]),
        ([OK, closed, OK, closed, OK, closed], [0, 0, 1]),
        ([OK, closed, OK, seconds(LASTS), OK, closed], [0, 0]),
        ([OK, silent, connected, silent, unanswered], [0, 0, 1]),
        ([unanswered, unanswered], [0.25, 0.5]),
        ([foreign] * 8, [1, 2, 4, 8, 16, 32, 60, 60]),
        ([unable, unable], [0.25, 0.5]),
    ],
)
def test_the_pause_until_the_next_look_grows(steps: list[Step], pauses: list[float]) -> None:
    assert Story().tell(*steps).pauses == pauses


def test_a_pod_that_stays_silent_is_connected_to_ever_more_rarely() -> None:
    story, found = Story().tell(OK), []
    for _ in range(8):
        before = story.now
        story.tell(silent, connected)
        found.append(round(story.now - before, 2))
    assert found == [SILENCE, SILENCE, SILENCE, SILENCE, 2, 4, CAP, CAP]


def test_after_a_verdict_the_limit_of_silence_is_the_short_one_again() -> None:
    story = Story().tell(OK, *[silent, connected] * 8, OK)
    assert story.listening.deadline() == story.now + SILENCE


def test_a_verdict_is_news_only_when_it_is_another_one() -> None:
    listening = Listening()
    told = [listening.heard(at, "Faulty", words, inflight) for at, words, inflight in ((1, HUNG, 4), (2, HUNG, 5), (3, "failed", 5))]
    assert told == [True, False, True]


STEPS: dict[str, Step] = {
    "ok": OK,
    "faulty": says("Faulty", HUNG, 4),
    "starting": says("Starting", "starting: no step"),
    "drains": DRAINS,
    "connected": connected,
    "closed": closed,
    "reset": reset,
    "refused": refused,
    "rejected": rejected,
    "unanswered": unanswered,
    "foreign": foreign,
    "unable": unable,
    "silent": silent,
    "a moment": seconds(0.1),
    "a while": seconds(3),
}
names = st.lists(st.sampled_from(sorted(STEPS)), max_size=60)


def told(*steps: str, proven: bool = False) -> Story:
    return Story(proven=proven).tell(*(STEPS[name] for name in steps))


@given(names)
def test_a_verdict_leads_out_of_every_state(before: list[str]) -> None:
    assert told(*before, "ok").state == ("Serving", "it says that it is well")


@given(names, st.sampled_from(["closed", "reset", "refused", "rejected"]))
def test_one_blow_is_never_evidence(before: list[str], blow: str) -> None:
    assert told(*before, "ok", blow).listening.state in {"Serving", "Unknown"}


@given(names, st.sampled_from(["closed", "reset", "refused"]))
def test_a_dead_process_is_gone_at_the_second_refusal(before: list[str], first: str) -> None:
    assert told(*before, "ok", first, "refused").listening.state == "Gone"


@given(names)
def test_there_is_no_evidence_against_a_pod_that_never_served(steps: list[str]) -> None:
    seen = [name for name in steps if name not in {"ok", "faulty", "drains"}]
    assert told(*seen).listening.state in {"Unknown", "Starting"}


@given(names)
def test_there_is_evidence_only_after_something_bad(steps: list[str]) -> None:
    seen = [name for name in steps if name not in {"closed", "reset", "refused", "rejected", "unanswered", "silent"}]
    assert told(*seen, proven=True).listening.state not in EVIDENCE


@given(names)
def test_another_page_is_never_evidence(before: list[str]) -> None:
    assert told(*before, "foreign").listening.state == "Unknown"


@given(names, st.booleans())
def test_pauses_are_bounded_and_looks_at_once_are_few(steps: list[str], proven: bool) -> None:  # noqa: FBT001  # hypothesis gives it
    story = told(*(name for name in steps if name not in {"a moment", "a while", "silent"}), proven=proven)
    assert all(0 <= pause <= FOREIGN_CAP for pause in story.pauses)
    assert story.pauses.count(0) <= HASTE


@given(st.lists(st.floats(0, 60), min_size=1, max_size=50))
def test_time_in_which_nobody_looked_does_not_count(gaps: list[float]) -> None:
    attention, at = Attention(), 100.0
    attention.look(at)
    for gap in gaps:
        at += gap
        late = attention.look(at)
        assert late == pytest.approx(max(0, gap - TICK), abs=1e-9)
    assert attention.now == pytest.approx(sum(min(gap, BLINK) for gap in gaps))


def test_a_loop_that_stood_still_makes_no_silence() -> None:
    attention, listening = Attention(), Listening()
    attention.look(0)
    listening.connected(attention.now)
    listening.heard(attention.now, "Serving", "", None)
    attention.look(30)
    assert attention.now < listening.deadline()
    for tick in range(19):
        attention.look(30 + (tick + 1) * TICK)
    assert attention.now == pytest.approx(SILENCE)


def test_the_limits_are_in_order() -> None:
    assert 2 * 0.5 < SILENCE < 3 * 0.5, "two beats of the watchdog are missed in full, not three"
    assert TICK < BLINK < SILENCE / 2
    assert CONNECT < 1, "a lost SYN is sent again after a second"
