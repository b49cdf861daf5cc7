"""Asks a Prometheus, in place of the pods, what the engines of models that have SLOs counted, again and again, in the background.

One question covers a hundred pods, and both revisions of a model are in the same one. Prometheus scrapes when it likes: what a pod counted
is noted once for each scrape, at the time of that scrape, however often it is looked at. A pod that is missing is not known, never
zero; which counters may be missing is said in `promanswer.py`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn, Protocol

from allod.adapters.errors import Unanswered, Unavailable
from allod.domain.manifest import ref
from allod.domain.serving import pod as pods_
from allod.domain.serving.health.measurement import Measurement
from allod.runtime.measures import PERIOD, Measures
from allod.runtime.shares import shares
from allod.runtime.troubles import Troubles

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from allod.adapters.promanswer import Pod, Scraped
    from allod.api.slo import Metric
    from allod.domain.manifest import Manifest, Ref
    from allod.domain.serving.health.windows import Reading
    from allod.runtime.measures import Measured, RevisionKey

log = logging.getLogger(__name__)

STALE = 95.0
"""Seconds since its last scrape after which a pod no longer counts: three scrapes of 30 s, the Prometheus Operator's default, or one of
60 s and the looks on the way."""
REST = 1.0
"""Seconds at least between two rounds: one that takes longer than PERIOD must not keep Prometheus busy all the time."""


class Source(Protocol):
    """Where counters are read: adapters.prometheus.Prometheus."""

    async def counted(self, models: Collection[tuple[str, str]], metrics: Collection[Metric]) -> Mapping[Pod, Scraped]:
        """What the pods of these models had counted at their last scrapes, as of one moment.

        Unavailable when it does not answer, Unanswered when it does not answer this.
        """


class Queries(Measures):
    """Counters read from a Prometheus."""

    def __init__(
        self,
        source: Source,
        pod: Callable[[Ref], Manifest | None],
        changed: Callable[[Manifest], None],
        asked: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`pod` finds a pod as it is now; `changed(pod)` is told when something else may be said of its revision.

        `asked(result)` is told of each question: `answered` or `unavailable`.
        """
        super().__init__(pod, STALE)
        self._source, self._changed, self._asked = source, changed, asked
        self._since: dict[Ref, float] = {}
        """When each pod was met: an older scrape may be of another pod of its name."""
        self._serves_since: dict[Ref, float] = {}
        """Since when each has served without a break, as we saw it: by this clock, not by the one that stamps its conditions."""
        self._scrapes: dict[Ref, float] = {}
        """The last scrape of each that was noted."""
        self._lacks: dict[Ref, str] = {}
        """Those of which it left out a counter."""
        self._told: dict[RevisionKey, tuple[frozenset[Ref], frozenset[Ref], bool]] = {}
        """Pods without figures, those without a counter, and whether there are any that are known, as was told last."""
        self._troubles = Troubles()

    async def run(self) -> NoReturn:
        """Ask for ever."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._round()
            except Exception as problem:  # what somebody answers must not end the operator
                log.exception("a round of questions to Prometheus failed", extra={"error": str(problem)})
            await asyncio.sleep(max(REST, began + PERIOD - loop.time()))

    def measurement(self, pods: tuple[Manifest, ...]) -> Measurement | None:
        """What is known of them. None: none is asked about."""
        targets = [target for pod in pods if (target := ref(pod)) in self._where]
        if not targets:
            return None
        now, serving = asyncio.get_running_loop().time(), sorted(targets, key=lambda each: each.name)
        known = tuple(each.name for each in serving if self._is_fresh(each, now))
        missing = tuple(each.name for each in serving if self._is_missing(each, now))
        trouble = self._troubles.of(self._where[targets[0]][:2])
        lacking = tuple(each for each in serving if self._is_lacking(each))
        lacks = self._lacks[lacking[0]] if lacking else ""
        return Measurement(trouble.sentence, trouble.refused, known, missing, tuple(each.name for each in lacking), lacks)

    def forget(self, target: Ref) -> None:
        """The pod is gone."""
        key = self._where.get(target)
        super().forget(target)
        self._since.pop(target, None)
        self._serves_since.pop(target, None)
        self._lacks.pop(target, None)
        self._scrapes.pop(target, None)
        if key is not None and key not in self._revisions:
            self._told.pop(key, None)
            if all(other[:2] != key[:2] for other in self._revisions):
                self._troubles.forget(key[:2])

    def _met(self, target: Ref) -> None:
        self._since[target] = self._serves_since[target] = asyncio.get_running_loop().time()

    async def _round(self) -> None:
        """One look at every model. Where nobody answers no other question is asked; all are judged by what is left."""
        parts, silence = tuple(shares(self._revisions)), None
        if not parts:
            self._troubles.nobody()
        for keys in parts:
            problem = silence or await self._look([key for key in keys if key in self._revisions])
            silence = problem if problem and not isinstance(problem, Unanswered) else None
            self._judge(keys)
            self._trouble(keys, problem)
            await asyncio.sleep(0)  # each share is some ms of work
        self._troubles.log()

    async def _look(self, keys: Collection[RevisionKey]) -> Unavailable | None:
        """Ask about some revisions. Returns why there was no answer."""
        began = asyncio.get_running_loop().time()
        metrics = {metric for key in keys for metric in self._revisions[key].metrics}
        try:
            found = await self._source.counted({key[:2] for key in keys}, metrics)
        except Unavailable as problem:
            self._asked("unavailable")
            return problem
        self._asked("answered")
        for key in keys:
            for target in tuple(self._revisions[key].pods) if key in self._revisions else ():
                self._note(target, began, found.get((target.namespace, target.name)))
        return None

    def _note(self, target: Ref, began: float, scraped: Scraped | None) -> None:
        """A pod as Prometheus saw it. While it does not serve, what it counted before goes stale."""
        pod = self._pod(target)
        revision = self._measured(target, pod)
        if pod is None or revision is None:
            self.forget(target)
            return
        if scraped is None or not pods_.is_ready(pod) or scraped.at == self._scrapes.get(target):
            return
        at, track = began - scraped.age, revision.tracks.get(target)
        if at < self._since[target] or (track and at <= track.samples[-1].at):
            return
        self._scrapes[target] = scraped.at
        if scraped.lacks:
            self._lacks[target] = scraped.lacks
            return
        self._lacks.pop(target, None)
        revision.heard(target, at, _only(scraped, revision))

    def _judge(self, keys: Iterable[RevisionKey]) -> None:
        now = asyncio.get_running_loop().time()
        for key in keys:
            if key not in self._revisions:  # meanwhile its pods went
                continue
            targets = tuple(self._revisions[key].pods)
            self._serves_since |= {each: now for each in targets if not self._serves(each)}
            missing = frozenset(each for each in targets if self._is_missing(each, now))
            lacking = frozenset(each for each in targets if self._is_lacking(each))
            tells = missing, lacking, any(self._is_fresh(each, now) for each in targets)
            turned = tells != self._told.get(key, (frozenset(), frozenset(), False))
            self._told[key] = tells
            if self._looked(key, now) or turned:
                self._tell(targets)

    def _is_fresh(self, target: Ref, now: float) -> bool:
        track = self._revisions[self._where[target]].tracks.get(target)
        return track is not None and now - track.samples[-1].at <= STALE

    def _is_missing(self, target: Ref, now: float) -> bool:
        """It serves, and for so long that it should have been scraped."""
        late = self._serves(target) and now - self._serves_since[target] > STALE
        return late and not self._is_fresh(target, now)

    def _is_lacking(self, target: Ref) -> bool:
        return target in self._lacks and self._serves(target)

    def _serves(self, target: Ref) -> bool:
        pod = self._pod(target)
        return pod is not None and pods_.is_ready(pod)

    def _trouble(self, keys: Iterable[RevisionKey], problem: Unavailable | None) -> None:
        now, staying = asyncio.get_running_loop().time(), [key for key in keys if key in self._revisions]
        turned = {model for model in {key[:2] for key in staying} if self._troubles.heard(model, problem, now)}
        for key in staying:
            if key[:2] in turned:
                self._tell(self._revisions[key].pods)

    def _tell(self, targets: Iterable[Ref]) -> None:
        """One pod stands for all of its revision."""
        if (pod := next((found for each in targets if (found := self._pod(each))), None)) is not None:
            self._changed(pod)


def _only(scraped: Scraped, revision: Measured) -> Reading:
    """Without the histograms that only another model asked for."""
    counts, wanted = scraped.reading.counts, revision.metrics
    if counts.times.keys() <= wanted:
        return scraped.reading
    return replace(scraped.reading, counts=replace(counts, times={name: counts.times[name] for name in wanted if name in counts.times}))
