"""Asks each ready engine once for its own figures, in the background: a reconcile never waits for an engine."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NoReturn, Protocol

from allod.adapters.errors import Unavailable
from allod.domain.manifest import Ref, ref
from allod.domain.names import HTTP_PORT, REVISION
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
        self._queue: WorkQueue[Ref] = WorkQueue(PATIENCE)

    def of(self, pods: tuple[Manifest, ...]) -> Mapping[str, EngineFigures]:
        """By revision hash, of ready pods that have answered. The others are asked in the background."""
        found: dict[str, EngineFigures] = {}
        for pod in pods:
            if not _ready(pod):
                continue
            known = self._known.get(ref(pod))
            if known is None or known[0] != _start(pod):
                self._queue.add_after(ref(pod), 0)
            elif known[1] is not None:
                found.setdefault(pod["metadata"]["labels"][REVISION], known[1])
        return found

    async def run(self) -> NoReturn:
        """Ask for ever. Several may run at once."""
        while True:
            async with self._queue.take() as target:
                await self._ask(target)

    async def _ask(self, target: Ref) -> None:
        pod = self._pod(target)
        if pod is None or not _ready(pod):
            self._known.pop(target, None)
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


def _ready(pod: Manifest) -> bool:
    """Ready, with an address and one of our revisions, the first of its replica: what can be asked and attributed."""
    status = pod.get("status") or {}
    conditions = {each["type"]: each["status"] for each in status.get("conditions") or ()}
    labels = pod["metadata"].get("labels") or {}
    return bool(conditions.get("Ready") == "True" and status.get("podIP") and REVISION in labels and leads(pod))


def _start(pod: Manifest) -> Start:
    """One start of the pod's containers: another uid or one restart more means another engine process."""
    restarts = sum(each.get("restartCount", 0) for each in pod["status"].get("containerStatuses") or ())
    return pod["metadata"]["uid"], restarts
