"""A Prometheus that scrapes when it likes, and the operator that asks it."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NoReturn

from allod.adapters.errors import Unavailable
from allod.adapters.promanswer import Scraped
from allod.api.canary import Comparison
from allod.api.slo import Slo
from allod.domain.manifest import Ref, ref
from allod.domain.serving.health.counts import Buckets, Counts
from allod.domain.serving.health.windows import Reading
from allod.runtime.queries import Queries

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from allod.adapters.promanswer import Pod
    from allod.api.slo import Metric
    from allod.domain.manifest import Manifest
    from allod.domain.serving.health.windows import Window

NEW, OLD = "7c9f4d21", "5b21aa0c"
ERRORS = Slo.model_validate({"name": "errors", "metric": "ErrorRatio", "threshold": "0.01", "window": "2m"})
LATE = Slo.model_validate({"name": "late", "metric": "TTFTSeconds", "quantile": "0.9", "threshold": "1", "window": "2m"})
COMPARED = Comparison.model_validate({"metric": "ErrorRatio", "maxRegressionPercent": 1})
TIME = 1764104908.0
"""Of the clock of Prometheus when ours is 0."""


def pod(name: str = "chat-0", *, ready: bool = True, uid: str = "", revision: str = OLD, model: str = "chat") -> Manifest:
    status: dict[str, Any] = {"podIP": name, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    labels = {"allod.dev/revision": revision, "allod.dev/model": model}
    meta = {"name": name, "namespace": "ai", "uid": uid or name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": status}


def now() -> float:
    return asyncio.get_running_loop().time()


class Prometheus:
    """Scrapes each pod at moments of its own; engines count ten requests a second."""

    def __init__(self) -> None:
        self.interval = 15.0
        self.pods: dict[Ref, Manifest] = {}
        self.failing: defaultdict[str, float] = defaultdict(float)
        """Part of a pod's requests."""
        self.counted_: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self.last: dict[Pod, tuple[float, Reading]] = {}
        self.away = ""
        self.refused: dict[str, Unavailable] = {}
        """What is raised when one of these models is asked about."""
        self.slow = 0.0
        self.unscraped: set[str] = set()
        self.lacks = ""
        self.asked: list[tuple[float, int, frozenset[Metric]]] = []
        self.told: list[str] = []
        self.results: Counter[str] = Counter()
        self.tasks: list[asyncio.Task[NoReturn]] = []
        self.queries = Queries(
            self, self.pods.get, lambda pod: self.told.append(pod["metadata"]["name"]), lambda each: self.results.update([each])
        )

    async def counted(self, models: Collection[tuple[str, str]], metrics: Collection[Metric]) -> Mapping[Pod, Scraped]:
        self.asked.append((now(), len(models), frozenset(metrics)))
        await asyncio.sleep(self.slow)
        if self.away == "a bug":
            raise RuntimeError(self.away)
        if self.away:
            raise Unavailable(self.away)
        if problem := next((self.refused[model] for _, model in models if model in self.refused), None):
            raise problem
        return {name: Scraped(TIME + at, now() - at, read, self.lacks) for name, (at, read) in self.last.items()}

    async def serve(self, seconds: float) -> None:
        """Time passes, requests come, and pods are scraped. The operator asks from the first time on: fixtures have real time."""
        if not self.tasks:
            self.tasks.append(asyncio.create_task(self.queries.run()))
        for _ in range(round(seconds)):
            await asyncio.sleep(1)
            for number, target in enumerate(self.pods):
                name = target.name
                self.counted_[name][0] += 10 * (1 - self.failing[name])
                self.counted_[name][1] += 10 * self.failing[name]
                if name not in self.unscraped and (now() + 3 * number) % self.interval < 1:
                    self.scrape(name)

    def scrape(self, name: str) -> None:
        answered, failed = self.counted_[name]
        times = {"TTFTSeconds": Buckets((0.5, float("inf")), (answered, answered))}
        self.last["ai", name] = now(), Reading(Counts({"answered": answered, "failed": failed}, times), 1.0)

    def look(self, *pods: Manifest, slos: tuple[Slo, ...] = (ERRORS,)) -> Mapping[str, Mapping[str, Window]]:
        self.pods.clear()
        self.pods |= {ref(each): each for each in pods}
        return self.queries.of(pods, slos)

    def measured(self, *pods: Manifest) -> tuple[str, str]:
        found = self.queries.measurement(pods)
        assert found
        told = found.condition()
        return told.status, told.reason
