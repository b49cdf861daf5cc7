from __future__ import annotations

import pytest

from allod.domain.serving.health.measurement import Measurement

AWAY = "Prometheus at http://prometheus:9090 does not answer: Connection refused"


@pytest.mark.parametrize(
    ("found", "status", "reason", "message"),
    [
        pytest.param(
            Measurement(AWAY, known=("a-0",), missing=("a-1",)),
            "False",
            "PrometheusUnavailable",
            f"{AWAY}; until it answers, objectives and canaries are not judged, and what hangs or dies is seen as ever",
            id="it is away",
        ),
        pytest.param(
            Measurement("Prometheus at http://p cannot tell (422 Unprocessable Entity): too many samples", refused=True),
            "False",
            "PrometheusRefuses",
            "Prometheus at http://p cannot tell (422 Unprocessable Entity): too many samples; until it gives figures, objectives and "
            "canaries are not judged, and what hangs or dies is seen as ever",
            id="it answers without figures",
        ),
        pytest.param(
            Measurement(known=("a-0",), missing=("a-1",)),
            "False",
            "NotScraped",
            "Prometheus has no fresh figures of pod a-1, whose requests are not judged",
            id="one pod is missing",
        ),
        pytest.param(
            Measurement(missing=("a-0",), lacking=("a-0", "a-1"), lacks="http_requests_total"),
            "False",
            "CounterMissing",
            "Prometheus has figures of pod a-0 and of 1 other without http_requests_total, so their requests are not judged: what scrapes "
            "them must keep that counter",
            id="a counter is missing",
        ),
        pytest.param(
            Measurement(missing=("a-0", "a-1", "a-2")),
            "False",
            "NotScraped",
            "Prometheus has no fresh figures of pod a-0 and of 2 others, whose requests are not judged",
            id="all are missing",
        ),
        pytest.param(
            Measurement(known=("a-0",)), "True", "Scraped", "Prometheus has the figures of all pods that have served for a while", id="well"
        ),
        pytest.param(
            Measurement(), "Unknown", "NotScrapedYet", "no pod has served for long enough to be scraped by Prometheus", id="it just begins"
        ),
    ],
)
def test_it_is_said_whether_the_figures_are_there(found: Measurement, status: str, reason: str, message: str) -> None:
    told = found.condition()
    assert (told.type, told.status, told.reason, told.message) == ("Measured", status, reason, message)
