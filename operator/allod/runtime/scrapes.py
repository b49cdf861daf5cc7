"""Asks the engines of models that have SLOs, or compare their revisions, for their counters, again and again, in the background.

Each serving pod is asked every ten seconds. What the pods of a revision counted is summed up into a window for each SLO, and weighed
against the active revision while it is on trial; a model is looked at again only when a verdict changes, not at each answer.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, NoReturn, Protocol

from allod.adapters.errors import Unavailable
from allod.domain.manifest import ref
from allod.domain.names import HTTP_PORT
from allod.domain.serving import pod as pods_
from allod.runtime.measures import PERIOD, Measures
from allod.runtime.workqueue import Backoff, WorkQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from allod.api.slo import Metric
    from allod.domain.manifest import Manifest, Ref
    from allod.domain.serving.health.windows import Reading
    from allod.runtime.measures import Measured

log = logging.getLogger(__name__)

JITTER = 0.1
"""Up to this part more or less, by chance: a thousand pods that started together are not asked together."""
PATIENCE = Backoff(first=PERIOD, cap=60)
"""Between looks at a pod that does not answer: a NetworkPolicy of somebody else may forbid it for ever."""


class Pages(Protocol):
    """Where counters are read: adapters.engine.EnginePages."""

    async def reading(self, address: str, port: int, metrics: Iterable[Metric]) -> Reading:
        """What the engine at an address counted. Unavailable when it does not answer."""


class Scrapes(Measures):
    """Counters read from the pods themselves."""

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
        super().__init__(pod)
        self._pages, self._changed, self._scraped = pages, changed, scraped
        self._queue: WorkQueue[Ref] = WorkQueue(PATIENCE)

    async def run(self) -> NoReturn:
        """Ask for ever. Several may run at once: as many pods are asked at a time."""
        await self._queue.serve(self._ask)

    def measurement(self, _pods: tuple[Manifest, ...]) -> None:
        """Nothing: to read them is our own work."""

    def _met(self, target: Ref) -> None:
        self._queue.add_after(target, random.uniform(0, PERIOD))  # noqa: S311  # jitter is no secret

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
            revision.heard(target, now, found)
        if serves and not found:
            self._queue.retry(target)
        else:
            self._queue.forget(target)
            self._queue.add_after(target, PERIOD * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311  # jitter is no secret
        if self._looked(self._where[target], now):
            self._changed(pod)

    async def _read(self, pod: Manifest, revision: Measured) -> Reading | None:
        try:
            found = await self._pages.reading(pod["status"]["podIP"], HTTP_PORT, revision.metrics)
        except Unavailable as problem:
            log.debug("an engine did not tell its counters", extra={"pod": str(ref(pod)), "why": str(problem)})
            self._scraped("unavailable")
            return None
        self._scraped("answered")
        return found
