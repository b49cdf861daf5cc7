"""The model's own objectives: when they fire, and that Prometheus judges as the operator does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from allod.api.modeldeployment import ModelDeployment
from allod.domain.serving.health.counts import Buckets, Counts
from allod.domain.serving.health.slos import verdicts
from allod.domain.serving.health.windows import Reading, Track, window
from support.promtool import Story
from support.rules import SPEC, answered, rule_of, scraped, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from allod.domain.serving.engine.metrics import Counter
    from support.promtool import Promtool

ERRORS, LATE = "warning AllodTooManyErrors", "warning AllodFirstTokenLate"
NOTHING: set[str] = set()
ALIVE = {told("Ready", "True", "Serving"): "1x200", scraped("up"): "1x200"}
REFUSED = scraped("vllm:admission_rejections_total", reason="max_num_queued_reqs")
BROKEN = scraped("allod_watchdog_broken_streams_total")
OWN_LOST = scraped("allod_watchdog_self_requests_total", result="lost")
BOUNDS = ("1.0", "2.5", "5.0", "+Inf")
HISTOGRAM = "vllm:time_to_first_token_seconds"


def first_tokens(*values: str) -> dict[str, str]:
    """A histogram: how many took up to each bound."""
    buckets = {scraped(f"{HISTOGRAM}_bucket", le=bound): each for bound, each in zip(BOUNDS, values, strict=True)}
    return {**buckets, scraped(f"{HISTOGRAM}_count"): values[-1]}


STORIES = (
    Story("few of many fail", ALIVE | {answered("2xx"): "0+2000x80", answered("5xx"): "0+1x80"}, {"10m": NOTHING}),
    Story("one of six fails, with few requests", ALIVE | {answered("2xx"): "0+5x80", answered("5xx"): "0+1x80"}, {"10m": NOTHING}),
    Story(
        "one of eleven fails, for ten minutes",
        ALIVE | {answered("2xx"): "0+10x80", answered("5xx"): "0x8 0+1x40 40x40"},
        {"2m": NOTHING, "4m": {ERRORS}, "12m": {ERRORS}, "15m": NOTHING},
    ),
    Story(
        "the very first failures come at once, with a label that was not there",
        ALIVE | {answered("2xx"): "0+10x80", answered("5xx"): "_x20 40x60"},
        {"5m": {ERRORS}, "6m45s": {ERRORS}, "7m15s": NOTHING},
    ),
    Story(
        "a full queue turns many away",
        ALIVE | {answered("2xx"): "0+10x80", answered("5xx"): "0+9x80", REFUSED: "0+9x80"},
        {"10m": NOTHING},
    ),
    Story(
        "answers break off in the middle, which clients saw begin as 2xx",
        ALIVE | {answered("2xx"): "0+10x80", BROKEN: "0+1x80"},
        {"10m": {ERRORS}},
    ),
    Story(
        "only the watchdog's own requests fail",
        ALIVE | {answered("2xx"): "0+10x80", answered("5xx"): "0+1x80", OWN_LOST: "0+1x80"},
        {"10m": NOTHING},
    ),
    Story(
        "clients make mistakes, and ask for what is no request for the model",
        ALIVE
        | {
            answered("2xx"): "0+10x80",
            answered("4xx"): "0+50x80",
            scraped("http_requests_total", handler="/tokenize", method="POST", status="5xx"): "0+9x80",
        },
        {"10m": NOTHING},
    ),
    Story(
        "a new revision fails everything, and is judged when it was seen for its window",
        {
            **ALIVE,
            answered("2xx"): "0+10x80",
            scraped("up", pod="chat-b-0", revision="b"): "_x20 1x60",
            answered("5xx", pod="chat-b-0", revision="b"): "_x20 0+10x60",
        },
        {"5m": NOTHING, "6m30s": NOTHING, "7m15s": {ERRORS}},
    ),
    Story(
        "one of eight first tokens is late, for ten minutes",
        ALIVE | {answered("2xx"): "0+8x80"} | first_tokens("0+1x80", "0+8x7 64+7x40 352+8x40", "0+8x7 64+7.5x40 372+8x40", "0+8x80"),
        {"2m": NOTHING, "6m": {LATE}, "12m": {LATE}, "15m": NOTHING},
    ),
    Story(
        "first tokens are late, with few requests",
        ALIVE | {answered("2xx"): "0+5x80"} | first_tokens("0x80", "0x80", "0+5x80", "0+5x80"),
        {"10m": NOTHING},
    ),
)


def test_objectives_fire_and_resolve_and_stay_quiet_below_min_requests(promtool: Promtool) -> None:
    promtool.test(rule_of(), STORIES)


def test_an_alert_names_the_objective_the_revision_and_the_number(promtool: Promtool) -> None:
    labels = {"namespace": "ai", "model": "chat", "allod_dev_model": "chat", "allod_dev_revision": "a", "slo": "errors"}
    sentences = {
        "summary": "More than 1 % of the requests to model ai/chat failed within 2m (SLO errors of health.slos).",
        "description": "Revision a: 10% of its requests failed. kubectl describe mdl chat -n ai says what the operator does about it; "
        "docs/troubleshooting.md, section SLOErrors, says what helps.",
    }
    expected = {"exp_labels": {"severity": "warning", "level": "business", **labels}, "exp_annotations": sentences}
    alert = {"eval_time": "10m", "alertname": "AllodTooManyErrors", "exp_alerts": [expected]}
    series = ALIVE | {answered("2xx"): "0+9x80", answered("5xx"): "0+1x80"}
    promtool.test(rule_of(), [Story("a tenth fails", series, {}, [alert])])


def test_a_model_without_an_error_ratio_has_the_usual_one(promtool: Promtool) -> None:
    rule = rule_of(health={"slos": []})
    few = ALIVE | {answered("2xx"): "0+100x80", answered("5xx"): "0+4x80"}
    many = ALIVE | {answered("2xx"): "0+100x80", answered("5xx"): "0+6x80"}
    promtool.test(rule, [Story("four of a hundred fail", few, {"10m": NOTHING}), Story("six of a hundred fail", many, {"10m": {ERRORS}})])


@dataclass(frozen=True)
class Counted:
    """What one pod counted by each look, one every 10 s; the operator's tracks and Prometheus' series are made of the same numbers."""

    name: str
    numbers: dict[Counter, Sequence[int]]
    buckets: Sequence[Sequence[int]] = field(default=())
    """For each bound of BOUNDS."""


SERIES: dict[Counter, str] = {
    "answered": answered("2xx"),
    "failed": answered("5xx"),
    "refused": REFUSED,
    "broken": BROKEN,
    "own_answered": scraped("allod_watchdog_self_requests_total", result="answered"),
    "own_failed": OWN_LOST,
}
LOOKS = 31
"""5 minutes; windows are of 2."""


def steady(step: int, begin: int = 0) -> list[int]:
    return [begin + step * each for each in range(LOOKS)]


def at_end(before: int, late: int, since: int = 25) -> list[int]:
    """Nothing until a look, then so many at each."""
    return [before + max(0, each - since) * late for each in range(LOOKS)]


def restarted(step: int) -> list[int]:
    """Anew from 0 in the middle of the window."""
    return [step * each if each < 24 else step * (each - 24) for each in range(LOOKS)]


CASES = (
    Counted("all is well", {"answered": steady(10), "failed": steady(0)}),
    Counted("a tenth fails", {"answered": steady(9), "failed": steady(1)}),
    Counted("too few to say", {"answered": steady(2), "failed": steady(1)}),
    Counted("just over one in a hundred", {"answered": steady(988), "failed": steady(12, 3)}),
    Counted("just below one in a hundred", {"answered": steady(991), "failed": steady(9, 3)}),
    Counted("fails since half a minute", {"answered": steady(10), "failed": at_end(0, 5)}),
    Counted("a full queue", {"answered": steady(10), "failed": steady(10), "refused": steady(10)}),
    Counted("breaks off", {"answered": steady(10), "failed": steady(0), "broken": steady(1)}),
    Counted("one fails and one breaks off of 200", {"answered": steady(199), "failed": steady(1), "broken": steady(1)}),
    Counted("the watchdog alone", {"answered": steady(3), "own_answered": steady(3), "failed": steady(3), "own_failed": steady(3)}),
    Counted("the engine was started anew", {"answered": restarted(10), "failed": restarted(1)}),
    Counted("first tokens are late", {"answered": steady(10)}, (steady(0), steady(8), steady(10), steady(10))),
    Counted("first tokens are in time", {"answered": steady(100)}, (steady(50), steady(95), steady(100), steady(100))),
    Counted(
        "most fail, so few have a first token",
        {"answered": steady(3), "failed": steady(10)},
        (steady(0), steady(0), steady(3), steady(3)),
    ),
    Counted("few first tokens, all late", {"answered": steady(3)}, (steady(0), steady(0), steady(3), steady(3))),
)


def judged(case: Counted) -> set[str]:
    """By the operator: names of the alerts that its own verdict stands for."""
    bounds = tuple(float(bound) for bound in BOUNDS)
    track = Track()
    for look in range(LOOKS):
        times = {"TTFTSeconds": Buckets(bounds, tuple(float(counts[look]) for counts in case.buckets))} if case.buckets else {}
        numbers: dict[str, float] = {name: float(values[look]) for name, values in case.numbers.items()}
        track = track.heard(look * 10.0, Reading(Counts(numbers, times)), 600)
    slos = ModelDeployment.model_validate({"metadata": {"name": "chat", "namespace": "ai"}, "spec": SPEC}).spec.health.slos
    found = verdicts(slos, {slo.name: window([track], slo.window.seconds, (LOOKS - 1) * 10.0) for slo in slos})
    return {{"errors": ERRORS, "ttft": LATE}[name] for name, holds in found.items() if holds is False}


def seen_by_prometheus(case: Counted) -> Story:
    series = {SERIES[name]: _values(values) for name, values in case.numbers.items()}
    if case.buckets:
        series |= first_tokens(*map(_values, case.buckets))
    return Story(case.name, ALIVE | series, {f"{(LOOKS - 1) * 10}s": judged(case)}, interval="10s")


def _values(numbers: Iterable[int]) -> str:
    return " ".join(map(str, numbers))


def test_prometheus_judges_as_the_operator_does(promtool: Promtool) -> None:
    promtool.test(rule_of(), [seen_by_prometheus(case) for case in CASES])


@pytest.mark.parametrize(
    ("name", "alerts"),
    [
        ("a tenth fails", {ERRORS}),
        ("first tokens are late", {LATE}),
        ("too few to say", NOTHING),
        ("most fail, so few have a first token", {ERRORS}),
    ],
)
def test_the_cases_have_both_outcomes(name: str, alerts: set[str]) -> None:
    assert judged(next(case for case in CASES if case.name == name)) == alerts
