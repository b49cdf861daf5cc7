"""Takes keys from the queue and reconciles them; what went wrong is tried again, each key with its own backoff."""

from __future__ import annotations

import asyncio
import logging
from time import perf_counter
from typing import TYPE_CHECKING, NoReturn

from allod.adapters.errors import ApiError, Conflict, Invalid
from allod.runtime.workqueue import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from allod.domain.manifest import Ref
    from allod.reconcile.world import Outcome
    from allod.runtime.metrics import Metrics
    from allod.runtime.workqueue import WorkQueue

    Reconcile = Callable[[Ref], Awaitable[Outcome]]

log = logging.getLogger(__name__)

RETRIES = Backoff(first=0.005, cap=30)
"""client-go's first delay: a conflict is over in milliseconds. The cap is how late we may notice that the API server is back."""

RESULTS: tuple[tuple[type[Exception], str], ...] = (
    (Conflict, "conflict"),  # somebody wrote first: nothing is wrong
    (Invalid, "invalid"),
    (ApiError, "unavailable"),  # the API server, a namespace or an API is not there: lister, lease and discovery say it once for all
    (Exception, "error"),  # a bug
)
"""What came of a reconcile that raised; the first that fits."""


class Workers:
    """One kind's workers. Run as many as wanted."""

    def __init__(self, queue: WorkQueue[Ref], reconcile: Reconcile, metrics: Metrics) -> None:
        self._queue, self._reconcile, self._metrics = queue, reconcile, metrics

    async def run(self) -> NoReturn:
        """Work for ever."""
        while True:
            async with self._queue.take() as key:
                started = perf_counter()
                result = await self._one(key)
                self._metrics.reconciled(key.kind, result, perf_counter() - started)
            # A look at an unchanged model waits for nothing: a resync of many would hold up lease, heartbeats and pages until its end.
            await asyncio.sleep(0)

    async def _one(self, key: Ref) -> str:
        """Reconcile one key and decide when it is looked at again. Returns the word for the metrics."""
        try:
            outcome = await self._reconcile(key)
        except Exception as problem:  # noqa: BLE001  # the one place: a bug in one model's reconcile must not stop the others'
            return self._failed(key, problem)
        if outcome.changed:
            # By the backoff too: should two looks at the same world ever disagree, they do so ever more rarely.
            self._queue.retry(key)
        else:
            self._queue.forget(key)
        if outcome.requeue_after is not None:  # the shorter wait counts
            self._queue.add_after(key, outcome.requeue_after.total_seconds())
        return "changed" if outcome.changed else "unchanged"

    def _failed(self, key: Ref, problem: Exception) -> str:
        result = next(word for kind, word in RESULTS if isinstance(problem, kind))
        what = {"kind": key.kind, "namespace": key.namespace, "object": key.name, "error": str(problem)}
        if result == "error":
            log.error("reconcile failed", extra=what, exc_info=problem)
        elif result == "invalid":
            log.error("the API server refused a write", extra=what)
        delay = self._queue.retry(key)
        self._metrics.retried(key.kind)
        log.debug("will be tried again", extra=what | {"result": result, "seconds": delay})
        return result
