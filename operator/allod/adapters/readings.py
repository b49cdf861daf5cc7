"""Numbers of an engine as a reading, from wherever they came: its own page, or a Prometheus that scraped it."""

from __future__ import annotations

from math import inf, isnan
from typing import TYPE_CHECKING

from allod.domain.serving.health.counts import NOTHING, Buckets, Counts
from allod.domain.serving.health.windows import Reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from allod.api.slo import Metric


def as_reading(
    numbers: Mapping[str, float], times: Mapping[Metric, Buckets], *, started: float | None, waiting: float, kv_usage: float
) -> Reading:
    """Histograms that are not known are left out, and numbers are brought to what they can be: nothing is counted less than never."""
    return Reading(
        Counts(
            {name: max(0.0, number) for name, number in numbers.items()},
            {metric: histogram for metric, histogram in times.items() if histogram.bounds},
        ),
        started=started,
        waiting=max(0, round(waiting)),
        kv_usage=min(1.0, max(0.0, kv_usage)),
    )


def as_buckets(counts: Mapping[float, float]) -> Buckets:
    """By bound. Without the infinite one the histogram is cut off, and nothing is known."""
    bounds = tuple(sorted(bound for bound in counts if not isnan(bound)))
    return Buckets(bounds, tuple(counts[bound] for bound in bounds)) if bounds and bounds[-1] == inf else NOTHING
