"""Asks a Prometheus, in place of the pods, what the engines of models that have SLOs counted, again and again, in the background.

One question covers a hundred pods, and both revisions of a model are in the same one. Prometheus scrapes when it likes: what a pod counted
is noted once for each scrape, at the time of that scrape, however often it is looked at. What is missing is not known, never zero.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn, Protocol

from allod.adapters.errors import Unavailable
from allod.domain.manifest import ref
from allod.domain.serving import pod as pods_
from allod.domain.serving.health.measurement import Measurement
from allod.runtime.complaint import Complaint
from allod.runtime.measures import PERIOD, Measures

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from allod.adapters.promanswer import Pod, Scraped
    from allod.api.slo import Metric
    from allod.domain.manifest import Manifest, Ref
    from allod.domain.serving.health.windows import Reading
    from allod.runtime.measures import Measured, RevisionKey

log = logging.getLogger(__name__)

STALE = 95.0
"""Seconds since its last scrape after which a pod no longer counts: three scrapes of 30 s, the Prometheus Operator's default, or one of
60 s and the looks on the way."""
AWAY = 30.0
"""Seconds without any answer after which it is told: a Prometheus that is started anew takes some."""
SHARE = 100
"""Pods of one question. Their answer with all histograms, 1.4 MB, takes 21 ms of the event loop; a heartbeat is due each 50 ms."""
REST = 1.0
"""Seconds at least between two rounds: one that takes longer than PERIOD must not keep Prometheus busy all the time."""


class Source(Protocol):
    """Where counters are read: adapters.prometheus.Prometheus."""

    async def counted(self, models: Collection[tuple[str, str]], metrics: Collection[Metric]) -> Mapping[Pod, Scraped]:
        """What the pods of these models had counted at their last scrapes, as of one moment. Unavailable when it does not answer."""


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
        self._scrapes: dict[Ref, float] = {}
        """The last scrape of each that was noted."""
        self._told: dict[RevisionKey, tuple[frozenset[Ref], bool]] = {}
        """Pods without figures, and whether there are any with some, as was told last."""
        self._failing_since: float | None = None
        self._complaint = Complaint("Prometheus does not answer: objectives and canaries are not judged", "Prometheus answers again")
        self._last = ""
        """Why the last round had no answer."""

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
        """What is known of these pods of one model. None: none of them is asked about."""
        targets = [target for pod in pods if (target := ref(pod)) in self._where]
        if not targets:
            return None
        now, serving = asyncio.get_running_loop().time(), sorted(targets, key=lambda each: each.name)
        known = tuple(each.name for each in serving if self._is_fresh(each, now))
        return Measurement(self._complaint.problem, known, tuple(each.name for each in serving if self._is_missing(each, now)))

    def forget(self, target: Ref) -> None:
        """The pod is gone."""
        key = self._where.get(target)
        super().forget(target)
        self._since.pop(target, None)
        self._scrapes.pop(target, None)
        if key is not None and key not in self._revisions:
            self._told.pop(key, None)

    def _met(self, target: Ref) -> None:
        self._since[target] = asyncio.get_running_loop().time()

    async def _round(self) -> None:
        """One look at every model. After a question without an answer no other is asked; all are judged by what is left."""
        shares, why = tuple(self._shares()), ""
        if not shares:
            self._failing_since, self._complaint.problem = None, ""  # nobody was asked, and nobody is there to be told
            return
        for keys in shares:
            why = why or await self._look([key for key in keys if key in self._revisions])
            self._judge(keys)
            await asyncio.sleep(0)  # each share is some ms of work
        if why:
            self._failed(why)
        else:
            self._answered()

    def _shares(self) -> Iterator[list[RevisionKey]]:
        """The revisions in parts of some pods, those of one model together."""
        models: dict[tuple[str, str], list[RevisionKey]] = {}
        for key in self._revisions:
            models.setdefault(key[:2], []).append(key)
        share: list[RevisionKey] = []
        for keys in models.values():
            if share and self._pods(share) + self._pods(keys) > SHARE:
                yield share
                share = []
            share = share + keys
        if share:
            yield share

    def _pods(self, keys: Iterable[RevisionKey]) -> int:
        return sum(len(self._revisions[key].pods) for key in keys)

    async def _look(self, keys: Collection[RevisionKey]) -> str:
        """Ask about some revisions. Returns why there was no answer; empty when there was one."""
        began = asyncio.get_running_loop().time()
        metrics = {metric for key in keys for metric in self._revisions[key].metrics}
        try:
            found = await self._source.counted({key[:2] for key in keys}, metrics)
        except Unavailable as problem:
            self._asked("unavailable")
            return str(problem)
        self._asked("answered")
        for key in keys:
            for target in tuple(self._revisions[key].pods) if key in self._revisions else ():
                self._note(target, began, found.get((target.namespace, target.name)))
        return ""

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
        revision.heard(target, at, _only(scraped, revision))

    def _judge(self, keys: Iterable[RevisionKey]) -> None:
        now = asyncio.get_running_loop().time()
        for key in keys:
            if key not in self._revisions:  # meanwhile its pods went
                continue
            targets = tuple(self._revisions[key].pods)
            missing = frozenset(each for each in targets if self._is_missing(each, now))
            tells = missing, any(self._is_fresh(each, now) for each in targets)
            turned = tells != self._told.get(key, (frozenset(), False))
            self._told[key] = tells
            if self._looked(key, now) or turned:
                self._tell(targets)

    def _is_fresh(self, target: Ref, now: float) -> bool:
        track = self._revisions[self._where[target]].tracks.get(target)
        return track is not None and now - track.samples[-1].at <= STALE

    def _is_missing(self, target: Ref, now: float) -> bool:
        """It serves, and for so long that it should have been scraped."""
        pod = self._pod(target)
        late = pod is not None and pods_.is_ready(pod) and now - self._since[target] > STALE
        return late and not self._is_fresh(target, now)

    def _failed(self, why: str) -> None:
        """Told after a while; another cause when it came twice in a row, so that two that take turns are not written to each status."""
        now, again, told = asyncio.get_running_loop().time(), why == self._last, self._complaint.problem
        self._last = why
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since >= AWAY and why != told and (again or not told):
            self._complaint.say(why)
            self._tell_all()

    def _answered(self) -> None:
        self._failing_since = None
        if self._complaint.problem:
            self._complaint.say("")
            self._tell_all()

    def _tell_all(self) -> None:
        for revision in self._revisions.values():
            self._tell(revision.pods)

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
