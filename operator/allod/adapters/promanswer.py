"""What Prometheus answers to the question of `render/monitoring/counted.py`, as readings of pods."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from allod.adapters.promtext import LARGEST
from allod.adapters.readings import as_buckets, as_reading
from allod.domain.serving.engine.metrics import COUNTERS
from allod.render.monitoring.counted import FILLED, QUEUED, SCRAPED, STARTED, WHAT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from allod.api.slo import Metric
    from allod.domain.serving.health.windows import Reading

    Pod = tuple[str, str]
    """Namespace and name."""
    Target = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Scraped:
    """What one pod had counted when it was scraped last."""

    at: float
    """When that was, in seconds since 1970 by the clock of Prometheus: the same number is the same scrape."""
    age: float
    """Seconds from there to the answer, by the same clock."""
    reading: Reading
    lacks: str = ""
    """Name of a counter that the engine has and the scraper left out: the reading has zeros that are none."""


@dataclass(slots=True)
class _Found:
    """The numbers of one target."""

    asked_at: float = 0.0
    numbers: dict[str, float] = field(default_factory=dict)
    buckets: dict[str, dict[float, float]] = field(default_factory=lambda: defaultdict(dict))


def scraped(result: Iterable[Mapping[str, Any]], metrics: Iterable[Metric]) -> dict[Pod, Scraped]:
    """By pod, from the `result` of an instant vector. A pod whose last scrape failed, or whose page has no line of an engine, is not in it.

    Of several scrapers of one pod the one that came last tells; one that reads a sidecar finds no line of an engine, and its zeros would
    look like a restart. KeyError, TypeError, ValueError: it is no such vector.
    """
    wanted = tuple(metrics)
    newest: dict[Pod, Scraped] = {}
    for (namespace, pod, *_), found in _sorted(result).items():
        at, known = found.numbers.get(SCRAPED), newest.get((namespace, pod))
        if at is not None and not COUNTERS.keys().isdisjoint(found.numbers) and (known is None or known.at < at):
            newest[namespace, pod] = Scraped(at, found.asked_at - at, _reading(found, wanted), _lacks(found.numbers))
    return newest


def _sorted(result: Iterable[Mapping[str, Any]]) -> Mapping[Target, _Found]:
    targets: dict[Target, _Found] = defaultdict(_Found)
    for series in result:
        labels, (asked_at, written) = series["metric"], series["value"]
        value = float(written)
        if not abs(value) <= LARGEST:  # nor is NaN
            continue
        found = targets[labels.get("namespace", ""), labels.get("pod", ""), labels.get("job", ""), labels.get("instance", "")]
        found.asked_at = float(asked_at)
        if (bound := labels.get("le")) is None:
            found.numbers[labels[WHAT]] = value
        else:
            found.buckets[labels[WHAT]][float(bound)] = value
    return targets


def _lacks(numbers: Mapping[str, float]) -> str:
    """An answer to the watchdog is counted as every other one, so where it had some there are as many.

    No line by itself tells: an engine writes none of `answered` or `failed` before the first such answer, and that is zero.
    """
    return COUNTERS["answered"].name if numbers.get("own_answered") and "answered" not in numbers else ""


def _reading(found: _Found, metrics: Iterable[Metric]) -> Reading:
    numbers = found.numbers
    return as_reading(
        {name: numbers.get(name, 0.0) for name in COUNTERS},
        {metric: as_buckets(found.buckets.get(metric, {})) for metric in metrics},
        started=numbers.get(STARTED),
        waiting=numbers.get(QUEUED, 0.0),
        kv_usage=numbers.get(FILLED, 0.0),
    )
