"""Asks the engines of models that have SLOs, or compare their revisions, for their counters, again and again, in the background.

Each serving pod is asked every ten seconds. What the pods of a revision counted is summed up into a window for each SLO, and weighed
against the active revision while it is on trial; a model is looked at again only when a verdict changes, not at each answer.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, Protocol

from allod.adapters.errors import Unavailable
from allod.domain.manifest import ref
from allod.domain.names import HTTP_PORT, MODEL, REVISION
from allod.domain.serving import pod as pods_
from allod.domain.serving.groups.group import leads
from allod.domain.serving.health.slos import verdicts
from allod.domain.serving.health.windows import Track, window
from allod.runtime.duels import Duels
from allod.runtime.workqueue import Backoff, WorkQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from allod.api.canary import Comparison
    from allod.api.slo import Metric, Slo
    from allod.domain.manifest import Manifest, Ref
    from allod.domain.serving.canary.contest import Duel
    from allod.domain.serving.health.windows import Reading, Window
    from allod.reconcile.world import Pair

    RevisionKey = tuple[str, str, str]

log = logging.getLogger(__name__)

PERIOD = 10.0
"""Seconds between two looks at a pod."""
JITTER = 0.1
"""Up to this part more or less, by chance: a thousand pods that started together are not asked together."""
PATIENCE = Backoff(first=PERIOD, cap=60)
"""Between looks at a pod that does not answer: a NetworkPolicy of somebody else may forbid it for ever."""


class Pages(Protocol):
    """Where counters are read: adapters.engine.EnginePages."""

    async def reading(self, address: str, port: int, metrics: Iterable[Metric]) -> Reading:
        """What the engine at an address counted. Unavailable when it does not answer."""


@dataclass(slots=True)
class Measured:
    """One revision of one model."""

    slos: tuple[Slo, ...]
    rules: tuple[Comparison, ...] = ()
    """What is compared with another revision."""
    pods: dict[Ref, str] = field(default_factory=dict)
    """Pods that have served, and their uids."""
    tracks: dict[Ref, Track] = field(default_factory=dict)
    windows: Mapping[str, Window] = field(default_factory=dict)
    """By the names of the SLOs, as of the last judgement."""
    judged_at: float = 0.0

    @property
    def metrics(self) -> frozenset[Metric]:
        """What is read of a page beside the numbers."""
        wanted = {slo.metric for slo in self.slos} | {rule.metric for rule in self.rules}
        return frozenset(metric for metric in wanted if metric != "ErrorRatio")

    def judge(self, now: float) -> bool:
        """Sum up anew. Returns whether a verdict is another than before."""
        before = verdicts(self.slos, self.windows)
        lengths = {slo.window.seconds for slo in self.slos}
        summed = {seconds: window(self.tracks.values(), seconds, now) for seconds in lengths}
        self.windows = {slo.name: summed[slo.window.seconds] for slo in self.slos}
        self.judged_at = now
        return verdicts(self.slos, self.windows) != before

    def forget(self, target: Ref) -> None:
        """The pod is gone, or another one of its name has come."""
        self.pods.pop(target, None)
        self.tracks.pop(target, None)


class Scrapes:
    """Windows of all revisions whose models have SLOs. All calls from the event loop's thread."""

    def __init__(
        self,
        pages: Pages,
        pod: Callable[[Ref], Manifest | None],
        changed: Callable[[Manifest], None],
        scraped: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`pod` finds a pod as it is now; `changed(pod)` is told when a verdict about its revision is another one.

        `scraped(result)` is told of each look: `answered` or `unavailable`.
        """
        self._pages, self._pod, self._changed, self._scraped = pages, pod, changed, scraped
        self._revisions: dict[RevisionKey, Measured] = {}
        self._where: dict[Ref, RevisionKey] = {}
        self._duels = Duels()
        self._queue: WorkQueue[Ref] = WorkQueue(PATIENCE)

    def of(
        self, pods: tuple[Manifest, ...], slos: tuple[Slo, ...], rules: tuple[Comparison, ...] = ()
    ) -> Mapping[str, Mapping[str, Window]]:
        """By revision hash, then by the names of the SLOs. Pods that have begun to serve are asked from now on.

        Without SLOs and rules nothing is asked, and what was known is forgotten.
        """
        for pod in pods:
            if not slos and not rules:
                self.forget(ref(pod))
            elif pods_.is_ready(pod) and leads(pod) and REVISION in (pod["metadata"].get("labels") or {}):
                self._meet(pod, slos)
        keys = dict.fromkeys(self._where[each] for pod in pods if (each := ref(pod)) in self._where)
        for key in keys:
            self._agree(self._revisions[key], slos, rules)
        return {key[2]: self._revisions[key].windows for key in keys}

    def duel(self, pair: Pair) -> Duel | None:
        """How the revision on trial stands against the active one. None: they are not both asked, or nothing is compared."""
        model = (pair.namespace, pair.model)
        if not pair.rules or any((*model, each) not in self._revisions for each in (pair.new, pair.old)):
            self._duels.end(model)
            return None
        return self._duels.meet(model, pair.new, pair.old, pair.rules, pair.least)

    async def run(self) -> NoReturn:
        """Ask for ever. Several may run at once: as many pods are asked at a time."""
        await self._queue.serve(self._ask)

    def forget(self, target: Ref) -> None:
        """The pod is gone."""
        key = self._where.pop(target, None)
        if key is None:
            return
        self._revisions[key].forget(target)
        if not self._revisions[key].pods:
            del self._revisions[key]
            self._duels.end(key[:2])  # of whichever two revisions: the next one begins anew, and a deleted model leaves nothing behind

    def _meet(self, pod: Manifest, slos: tuple[Slo, ...]) -> None:
        target, labels = ref(pod), pod["metadata"]["labels"]
        if self._measured(target, pod) is None:
            self.forget(target)
            key = (target.namespace, labels.get(MODEL, ""), labels[REVISION])
            self._revisions.setdefault(key, Measured(slos)).pods[target] = pod["metadata"]["uid"]
            self._where[target] = key
            self._queue.add_after(target, random.uniform(0, PERIOD))  # noqa: S311  # jitter is no secret

    def _agree(self, revision: Measured, slos: tuple[Slo, ...], rules: tuple[Comparison, ...]) -> None:
        """Who asks gets windows of the SLOs as they are now, and needs not be told of them."""
        revision.rules = rules
        if revision.slos != slos or not revision.windows:
            revision.slos = slos
            revision.judge(asyncio.get_running_loop().time())

    async def _ask(self, target: Ref) -> None:
        """One look at one pod. While it does not serve it is left in peace, and what it counted before goes stale."""
        pod = self._pod(target)
        revision = self._measured(target, pod)
        if pod is None or revision is None:
            self.forget(target)
            self._queue.forget(target)
            return
        serves = pods_.is_ready(pod)
        found = await self._read(pod, revision) if serves else None
        if revision is not self._measured(target, pod):  # meanwhile the pod went, or its model's SLOs did
            self._queue.forget(target)
            return
        now = asyncio.get_running_loop().time()
        if found:
            keep = max((slo.window.seconds for slo in revision.slos), default=PERIOD)
            revision.tracks[target] = revision.tracks.get(target, Track()).heard(now, found, keep)
        if serves and not found:
            self._queue.retry(target)
        else:
            self._queue.forget(target)
            self._queue.add_after(target, PERIOD * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311  # jitter is no secret
        # Of a hundred pods one is enough: each sum goes over all of them.
        judged = now - revision.judged_at >= PERIOD / 2 and revision.judge(now)
        if self._weigh(self._where[target], now) or judged:
            self._changed(pod)

    def _weigh(self, key: RevisionKey, now: float) -> bool:
        """Take a look at the duel that a revision is in, if it is time. Returns whether it decides something else now."""
        trial = self._duels.of(key[:2])
        if trial is None or now - trial.looked_at < PERIOD / 2:
            return False
        sides = [self._revisions.get((*key[:2], each)) for each in (trial.duel.new, trial.duel.old)]
        new, old = (side.tracks if side else {} for side in sides)
        trial.looked_at = now
        return trial.look(new, old)

    async def _read(self, pod: Manifest, revision: Measured) -> Reading | None:
        try:
            found = await self._pages.reading(pod["status"]["podIP"], HTTP_PORT, revision.metrics)
        except Unavailable as problem:
            log.debug("an engine did not tell its counters", extra={"pod": str(ref(pod)), "why": str(problem)})
            self._scraped("unavailable")
            return None
        self._scraped("answered")
        return found

    def _measured(self, target: Ref, pod: Manifest | None) -> Measured | None:
        """Of which revision this very pod is known to be."""
        key = self._where.get(target)
        found = None if key is None or pod is None else self._revisions[key]
        return found if found and pod and found.pods.get(target) == pod["metadata"]["uid"] else None
