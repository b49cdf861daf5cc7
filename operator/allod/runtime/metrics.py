"""Our own figures for Prometheus. The names are API: dashboards and alerts use them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from allod.domain.manifest import Manifest, Ref
    from allod.domain.serving.health.beat import State

LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
RECONCILE_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30)
CONDITION_LABELS = ("kind", "namespace", "name", "type", "status", "reason")


class Metrics:
    """All figures of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._reconciles = self._counter("allod_reconcile_total", "Reconciles by what came of them", ("kind", "result"))
        self._seconds = Histogram(
            "allod_reconcile_seconds", "Duration of a reconcile", ("kind",), buckets=RECONCILE_BUCKETS, registry=self.registry
        )
        self._retries = self._counter("allod_retries_total", "Reconciles that will be tried again", ("kind",))
        self._depth = Gauge("allod_workqueue_depth", "Objects that wait for a worker", registry=self.registry)
        self._wait = Histogram("allod_workqueue_latency_seconds", "How long objects waited for a worker", registry=self.registry)
        self.leader = Gauge("allod_leader", "1 in the replica that works, 0 in one that waits", registry=self.registry)
        self._requests = self._counter("allod_api_requests_total", "Requests to the API server; code 0: no answer", ("verb", "code"))
        self._scrapes = self._counter("allod_scrapes_total", "Looks at the counters of engines whose models have SLOs", ("result",))
        self._queries = self._counter("allod_prometheus_queries_total", "Questions to the Prometheus of prometheus.url", ("result",))
        self._last_event = Gauge(
            "allod_watch_last_event_timestamp_seconds", "When the last watch event came", ("resource",), registry=self.registry
        )
        self._condition = Gauge(
            "allod_condition", "1 for the status and the reason that a condition has", CONDITION_LABELS, registry=self.registry
        )
        self._heartbeats = Gauge("allod_heartbeat_pods", "Pods that are listened to, by what is heard", ("state",), registry=self.registry)
        self._beats = Counter("allod_heartbeats_total", "Heartbeats of engines that were heard", registry=self.registry)
        self._lag = Histogram(
            "allod_event_loop_lag_seconds", "How late the event loop was, each 50 ms", buckets=LAG_BUCKETS, registry=self.registry
        )
        self._conditions: dict[Ref, frozenset[tuple[str, str, str]]] = {}

    def page(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)

    def depth(self, count: Callable[[], float]) -> None:
        """`count()` is how many keys wait, asked at each scrape."""
        self._depth.set_function(count)

    def reconciled(self, kind: str, result: str, seconds: float) -> None:
        """One reconcile is over: `unchanged`, `changed`, `conflict`, `unavailable`, `invalid` or `error`."""
        self._reconciles.labels(kind, result).inc()
        self._seconds.labels(kind).observe(seconds)

    def retried(self, kind: str) -> None:
        """A reconcile failed and will be tried again."""
        self._retries.labels(kind).inc()

    def waited(self, seconds: float) -> None:
        """A key got its worker."""
        self._wait.observe(seconds)

    def requested(self, verb: str, code: int, _seconds: float) -> None:
        """The API server answered, or did not (code 0)."""
        self._requests.labels(verb, str(code)).inc()

    def scraped(self, result: str) -> None:
        """An engine was asked for its counters: `answered` or `unavailable`."""
        self._scrapes.labels(result).inc()

    def queried(self, result: str) -> None:
        """Prometheus was asked for counters: `answered` or `unavailable`."""
        self._queries.labels(result).inc()

    def heard(self, plural: str) -> None:
        """A watch event came."""
        self._last_event.labels(plural).set_to_current_time()

    def heartbeat_states(self, states: Iterable[State], count: Callable[[State], float]) -> None:
        """`count(state)` is how many pods are in it, asked at each scrape."""
        for state in states:
            self._heartbeats.labels(state).set_function(partial(count, state))

    def listened(self, beats: int, late: float) -> None:
        """One more look at the time: so many heartbeats came since the last one, and it is late by so many seconds."""
        self._beats.inc(beats)
        self._lag.observe(late)

    def conditions(self, target: Ref, manifest: Manifest | None) -> None:
        """An object's conditions are these now. Without the object its series end."""
        found = (manifest or {}).get("status", {}).get("conditions") or ()
        now = frozenset((each["type"], each["status"], each["reason"]) for each in found)
        before = self._conditions.get(target, frozenset())
        where = (target.kind, target.namespace, target.name)
        for answer in before - now:
            self._condition.remove(*where, *answer)
        for answer in now - before:
            self._condition.labels(*where, *answer).set(1)
        if now:
            self._conditions[target] = now
        else:
            self._conditions.pop(target, None)

    def _counter(self, name: str, about: str, labels: tuple[str, ...]) -> Counter:
        return Counter(name, about, labels, registry=self.registry)
