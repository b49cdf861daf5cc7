from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest

from allod.api.slo import Slo
from allod.domain.serving.health.counts import Buckets
from allod.domain.serving.health.slos import compared, holds, slo_finding, verdicts
from allod.domain.serving.health.windows import Window

BOUNDS = (0.5, 2.5, 5.0, inf)
CALM = Window(120, full=True, requests=812, errors=0)


def slo(metric: str = "ErrorRatio", threshold: str = "0.01", window: str = "2m", **more: Any) -> Slo:
    quantile = {} if metric == "ErrorRatio" else {"quantile": "0.99"}
    document = {"name": metric, "metric": metric, "threshold": threshold, "window": window, **quantile, **more}
    return Slo.model_validate(document)


ERRORS, TTFT = slo(), slo("TTFTSeconds", "2.5", "5m")


def slow(*counts: float, metric: str = "TTFTSeconds", **more: Any) -> Window:
    return replace(CALM, times={metric: Buckets(BOUNDS, counts)}, requests=640, **more)


SLOW = slow(500, 620, 640, 640)
"""p99 is 4.2 s."""


@pytest.mark.parametrize(
    ("objective", "found", "verdict"),
    [
        (ERRORS, CALM, True),
        (ERRORS, replace(CALM, errors=8), True),
        (ERRORS, replace(CALM, errors=9), False),
        (ERRORS, replace(CALM, errors=9, full=False), None),
        (ERRORS, replace(CALM, requests=50, errors=50), False),
        (ERRORS, replace(CALM, requests=49, errors=49), None),
        (slo(minRequests=1), replace(CALM, requests=1, errors=1), False),
        (slo(threshold="0"), CALM, True),
        (slo(threshold="0"), replace(CALM, errors=1), False),
        (ERRORS, None, None),
        (TTFT, SLOW, False),
        (TTFT, slow(600, 640, 640, 640), True),
        (TTFT, slow(0, 0, 0, 49), None),
        (TTFT, slow(0, 0, 0, 50), False),
        (TTFT, replace(SLOW, requests=49), None),
        (TTFT, replace(SLOW, full=False), None),
        (TTFT, CALM, None),
        (slo("EndToEndSeconds", "2.5"), SLOW, None),
        (slo("InterTokenSeconds", "2.5"), slow(0, 0, 9000, 9000, metric="InterTokenSeconds"), False),
    ],
    ids=str,
)
def test_an_objective_is_judged_only_by_enough_requests_over_a_full_window(
    objective: Slo,
    found: Window | None,
    verdict: bool | None,  # noqa: FBT001  # a column of the table
) -> None:
    assert holds(objective, found) is verdict


def test_the_sentence_about_errors_has_the_numbers() -> None:
    finding = slo_finding((ERRORS,), {"ErrorRatio": replace(CALM, errors=35)})
    assert finding
    assert (finding.reason, finding.message) == ("SLOErrors", "errors 0.043 > 0.010 over 2m, 812 requests")
    assert finding.gives_up == "WhenAnotherServes"


@pytest.mark.parametrize(
    ("objective", "found", "message"),
    [
        (TTFT, SLOW, "p99 of TTFT 4.2 s > 2.5 s over 5m, 640 requests"),
        (
            slo("TTFTSeconds", "2.5", quantile="0.999"),
            replace(SLOW, waiting=37, kv_usage=0.978),
            "p99.9 of TTFT 4.9 s > 2.5 s over 2m, 640 requests; requests wait in the queue, the KV cache is nearly full",
        ),
        (
            TTFT,
            replace(SLOW, waiting=1),
            "p99 of TTFT 4.2 s > 2.5 s over 5m, 640 requests; requests wait in the queue, the KV cache has room",
        ),
        (
            slo("EndToEndSeconds", "2", quantile="0.5", minRequests=1),
            Window(120, full=True, requests=1, errors=0, times={"EndToEndSeconds": Buckets(BOUNDS, (0, 0, 1, 1))}),
            "p50 of the whole answer 3.8 s > 2.0 s over 2m, 1 request",
        ),
        (
            slo("InterTokenSeconds", "0.05", quantile="0.9"),
            slow(9000, 9000, 9000, 9000, metric="InterTokenSeconds"),
            "p90 of the time between tokens 0.45 s > 0.05 s over 2m, 640 requests",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_sentence_about_a_latency_has_the_numbers(objective: Slo, found: Window, message: str) -> None:
    finding = slo_finding((objective,), {objective.name: found})
    assert finding
    assert (finding.reason, finding.message) == ("SLOLatency", message)


def test_the_worst_comes_first() -> None:
    slos = [slo("InterTokenSeconds", "1"), TTFT, slo("EndToEndSeconds", "1"), ERRORS]
    windows = {each.name: slow(0, 0, 640, 640, metric=each.name, errors=35) for each in slos}
    told = []
    while finding := slo_finding(slos, windows):
        told.append(finding.message.partition(" > ")[0])
        del slos[-1]
    assert told == ["errors 0.055", "p99 of the whole answer 5.0 s", "p99 of TTFT 5.0 s", "p99 of the time between tokens 5.0 s"]


def test_of_two_objectives_of_one_metric_the_one_that_is_exceeded_by_more_is_told() -> None:
    strict, loose = slo(name="strict", threshold="0.001"), slo(name="loose", threshold="0.04", window="5m")
    windows = {"strict": replace(CALM, errors=35), "loose": replace(CALM, errors=35)}
    for slos in ((strict, loose), (loose, strict)):
        finding = slo_finding(slos, windows)
        assert finding
        assert "> 0.001 over 2m" in finding.message


def test_a_revision_that_holds_its_objectives_has_no_finding() -> None:
    assert slo_finding((), {}) is None
    assert slo_finding((ERRORS, TTFT), {}) is None
    assert slo_finding((ERRORS, TTFT), {"ErrorRatio": CALM, "TTFTSeconds": replace(SLOW, full=False)}) is None


def test_verdicts_are_by_name() -> None:
    assert verdicts((ERRORS, TTFT), {"TTFTSeconds": SLOW}) == {"ErrorRatio": None, "TTFTSeconds": False}


@pytest.mark.parametrize(
    ("value", "limit", "least", "shown"),
    [
        (0.0431, "0.01", 3, ("0.043", "0.010")),
        (0.01004, "0.01", 3, ("0.01004", "0.01000")),
        (3.14159, "2.5", 1, ("3.1", "2.5")),
        (2.51, "2.5", 1, ("2.51", "2.50")),
        (1.0, "0", 3, ("1.000", "0.000")),
        (12.3456, "0.0625", 1, ("12.3456", "0.0625")),
    ],
)
def test_two_numbers_that_differ_are_shown_differently(value: float, limit: str, least: int, shown: tuple[str, str]) -> None:
    assert compared(value, limit, least=least) == shown
