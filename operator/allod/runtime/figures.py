"""Asks each ready engine once for its own figures, in the background: a reconcile never waits for an engine."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NoReturn, Protocol

from allod.adapters.errors import Unavailable
from allod.domain.manifest import Ref, ref
from allod.domain.names import HTTP_PORT, REVISION
from allod.domain.serving import pod as pods_
from allod.domain.serving.groups.group import leads
from allod.runtime.workqueue import Backoff, WorkQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from allod.domain.manifest import Manifest
    from allod.domain.serving.seen import EngineFigures

    Start = tuple[str, int]

log = logging.getLogger(__name__)

PATIENCE = Backoff(first=1, cap=300)
"""Between questions to an engine that does not answer: a NetworkPolicy of somebody else may forbid it for ever."""


class Pages(Protocol):
    """Where figures are read: adapters.engine.EnginePages."""

    async def figures(self, address: str, port: int) -> EngineFigures | None:
        """Figures of the engine at an address, None when it publishes none, Unavailable when it does not answer."""


class EngineReader:
    """What engines say of themselves, kept per start of a pod's containers."""

    def __init__(self, pages: Pages, pod: Callable[[Ref], Manifest | None], answered: Callable[[Manifest], None]) -> None:
        """`pod` finds a pod as it is now; `answered(pod)` is told when there is something new to know."""
        self._pages, self._pod, self._answered = pages, pod, answered
        self._known: dict[Ref, tuple[Start, EngineFigures | None]] = {}
        self._begun: dict[Ref, Start] = {}
        """Starts that are asked. Those that did not answer are tried again by the queue, however often somebody wants to know."""
        self._queue: WorkQueue[Ref] = WorkQueue(PATIENCE)

    def of(self, pods: tuple[Manifest, ...]) -> Mapping[str, EngineFigures]:
        """By revision hash, of ready pods that have answered. The others are asked in the background."""
        found: dict[str, EngineFigures] = {}
        for pod in pods:
            if not _can_be_asked(pod):
                continue
            target, start = ref(pod), _start(pod)
            known = self._known.get(target)
            if known is not None and known[0] == start:
                if known[1] is not None:
                    found.setdefault(pod["metadata"]["labels"][REVISION], known[1])
            elif self._begun.get(target) != start:
                self._begun[target] = start
                self._queue.forget(target)
                self._queue.add(target)
        return found

    async def run(self) -> NoReturn:
        """Ask for ever. Several may run at once."""
        await self._queue.serve(self._ask)

    async def _ask(self, target: Ref) -> None:
        pod = self._pod(target)
        if pod is None or not _can_be_asked(pod):
            self.forget(target)
            self._queue.forget(target)
            return
        try:
            figures = await self._pages.figures(pod["status"]["podIP"], HTTP_PORT)
        except Unavailable as problem:
            log.debug("an engine did not tell its figures", extra={"pod": str(target), "why": str(problem)})
            self._queue.retry(target)
            return
        self._queue.forget(target)
        self._known[target] = (_start(pod), figures)
        if figures is not None:
            self._answered(pod)

    def forget(self, target: Ref) -> None:
        """The pod is gone."""
        self._known.pop(target, None)
        self._begun.pop(target, None)


def _can_be_asked(pod: Manifest) -> bool:
    """It serves, has an address and is one of our revisions, and the first of its replica: its figures can be attributed."""
    has_address = bool((pod.get("status") or {}).get("podIP"))
    return pods_.is_ready(pod) and has_address and REVISION in (pod["metadata"].get("labels") or {}) and leads(pod)


def _start(pod: Manifest) -> Start:
    """One start of the pod's containers: another uid or one restart more means another engine process."""
    restarts = sum(each.get("restartCount", 0) for each in pod["status"].get("containerStatuses") or ())
    return pod["metadata"]["uid"], restarts
