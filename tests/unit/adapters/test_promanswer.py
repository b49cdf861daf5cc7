from __future__ import annotations

import copy
import json
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from allod.adapters.engine import reading
from allod.adapters.promanswer import scraped

if TYPE_CHECKING:
    from collections.abc import Callable

    from allod.api.slo import Metric

PAGES = Path(__file__).parent / "pages"
VLLM = (PAGES / "vllm-0.32.0.txt").read_bytes()
REAL: list[dict[str, Any]] = json.loads((PAGES / "prometheus-3.5.3.json").read_text())["data"]["result"]
"""Of a real Prometheus that scraped that page, one histogram asked for."""
TTFT: tuple[Metric, ...] = ("TTFTSeconds",)
POD = ("ai", "chat-0")


def what(name: str, **labels: str) -> Callable[[dict[str, Any]], bool]:
    return lambda series: series["metric"]["what"] == name and labels.items() <= series["metric"].items()


def without(*gone: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    return [each for each in REAL if not any(one(each) for one in gone)]


def told(series: Callable[[dict[str, Any]], bool], value: str) -> list[dict[str, Any]]:
    changed = copy.deepcopy(REAL)
    for each in filter(series, changed):
        each["value"][1] = value
    return changed


def by_another(job: str, at: str) -> list[dict[str, Any]]:
    """The same pod as another scraper sees it, with one failure."""
    theirs = [copy.deepcopy(each) for each in told(what("scraped"), at)]
    for each in theirs:
        each["metric"]["job"] = job
    return [*theirs, {"metric": {**theirs[0]["metric"], "what": "failed"}, "value": [theirs[0]["value"][0], "1"]}]


def sidecar() -> list[dict[str, Any]]:
    """Another target of the same pod, which counts nothing that we know."""
    there = [each for each in by_another("sidecars", "3000000000") if each["metric"]["what"] in ("scraped", "started")]
    assert len(there) == 2
    return there


def test_a_real_answer_is_read_as_the_page_itself() -> None:
    assert {pod: each.reading for pod, each in scraped(REAL, TTFT).items()} == {POD: reading(VLLM, TTFT)}
    assert scraped(REAL, ())[POD].reading == reading(VLLM, ())


def test_the_time_of_the_scrape_and_its_age_are_the_scrapers_own() -> None:
    found = scraped(REAL, ())[POD]
    written = next(float(each["value"][1]) for each in REAL if each["metric"]["what"] == "scraped")
    assert found.at == written
    assert found.at + found.age == pytest.approx(REAL[0]["value"][0])


@pytest.mark.parametrize(
    ("result", "failed", "known"),
    [
        pytest.param([], None, None, id="nothing"),
        pytest.param(without(what("scraped")), None, None, id="the last scrape failed"),
        pytest.param(told(what("scraped"), "NaN"), None, None, id="no time"),
        pytest.param(without(what("TTFTSeconds", le="+Inf")), 0.0, False, id="a histogram that is cut off"),
        pytest.param(told(what("TTFTSeconds", le="+Inf"), "NaN"), 0.0, False, id="a bucket that is no number"),
        pytest.param(without(what("answered"), what("started")), 0.0, True, id="nothing was asked of the engine yet"),
        pytest.param([*REAL, *by_another("company", "1000000000")], 0.0, True, id="another scraper was there before"),
        pytest.param([*REAL, *by_another("company", "3000000000")], 1.0, True, id="another scraper was there later"),
        pytest.param([*by_another("company", "3000000000"), *REAL], 1.0, True, id="another scraper comes first in the answer"),
        pytest.param([*REAL, *sidecar()], 0.0, True, id="another scraper read a sidecar later"),
        pytest.param(sidecar(), None, None, id="only a sidecar was read"),
    ],
)
def test_what_is_missing_is_not_known(result: list[dict[str, Any]], failed: float | None, known: bool | None) -> None:  # noqa: FBT001  # a column of the table
    found = scraped(result, TTFT).get(POD)
    assert (found.reading.counts.numbers["failed"] if found else None) == failed
    assert (bool(found.reading.counts.times) if found else None) == known
    if found and known:
        assert found.reading.counts.times["TTFTSeconds"].bounds[-1] == inf


OWN = {"metric": {**REAL[0]["metric"], "what": "own_answered"}, "value": [REAL[0]["value"][0], "3"]}


@pytest.mark.parametrize(
    ("result", "lacks"),
    [
        pytest.param(REAL, "", id="all is there"),
        pytest.param(without(what("answered")), "", id="nothing was asked of the engine yet"),
        pytest.param([*REAL, OWN], "", id="the watchdog asked among others"),
        pytest.param([*without(what("answered")), OWN], "http_requests_total", id="the watchdog was answered and nothing was"),
    ],
)
def test_a_counter_that_the_scraper_left_out_is_named_and_no_zero(result: list[dict[str, Any]], lacks: str) -> None:
    assert scraped(result, TTFT)[POD].lacks == lacks


@pytest.mark.parametrize(
    "result",
    [
        pytest.param([{"metric": {"pod": "chat-0"}, "value": [1, "2"]}], id="without its name"),
        pytest.param([{"metric": {"what": "failed"}, "values": [[1, "2"]]}], id="a matrix"),
        pytest.param([{"metric": {"what": "failed"}, "value": [1, "two"]}], id="no number"),
        pytest.param([{"metric": {"what": "TTFTSeconds", "le": "wide"}, "value": [1, "2"]}], id="no bound"),
    ],
)
def test_what_is_no_such_answer_is_an_error(result: list[dict[str, Any]]) -> None:
    with pytest.raises((KeyError, ValueError, TypeError)):
        scraped(result, TTFT)
