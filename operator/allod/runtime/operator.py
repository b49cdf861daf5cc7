"""All parts of one process, wired: events -> store -> queue -> workers, while this replica leads."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from allod.domain.manifest import ref
from allod.reconcile.modeldeployment import ModelDeployments
from allod.reconcile.observe import Senses
from allod.reconcile.world import Outcome
from allod.runtime import figures, scrapes
from allod.runtime.discovery import Discovery
from allod.runtime.figures import EngineReader
from allod.runtime.heartbeats import Heartbeats
from allod.runtime.lease import CLIENT_GO, Lease, Timing, lease_ref
from allod.runtime.lister import Lister
from allod.runtime.queries import Queries
from allod.runtime.routing import companions, concerned, model_ref, told
from allod.runtime.scrapes import Scrapes
from allod.runtime.store import Store, model_label
from allod.runtime.watches import Watches
from allod.runtime.workers import RETRIES, Workers
from allod.runtime.workqueue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from allod.adapters.kube import Kube
    from allod.adapters.login import Login
    from allod.adapters.resources import Resource
    from allod.domain.manifest import Manifest, Ref
    from allod.runtime.metrics import Metrics
    from allod.runtime.queries import Source
    from allod.runtime.settings import Settings

log = logging.getLogger(__name__)

WORKERS = 8
"""Models worked on at once. An API server on two cores took 335 writes a second from 16 connections; eight models keep it busy."""
READERS = 4
"""Engines asked for their figures at once."""
SCRAPERS = 16
"""Engines asked for their counters at once. One answer takes some ms; one that does not come takes 2 s."""
RESTART = 1.0
"""Seconds until watches that ended by themselves begin again."""


class Pages(figures.Pages, scrapes.Pages, Protocol):
    """Engines' metrics pages: adapters.engine.EnginePages."""


class Operator:
    """One replica."""

    def __init__(
        self,
        settings: Settings,
        kube: Kube,
        pages: Pages,
        *,
        login: Login,
        metrics: Metrics,
        prometheus: Source | None = None,
        timing: Timing = CLIENT_GO,
    ) -> None:
        """`prometheus` is asked for the engines' counters in their place. Without it they are asked themselves."""
        self._settings, self._login, self._metrics = settings, login, metrics
        self._leads = False
        self._queue: WorkQueue[Ref] = WorkQueue(RETRIES, metrics.waited)
        metrics.depth(lambda: len(self._queue))
        self._store = Store(self._changed, self._wrote)
        self._discovery = Discovery(kube)
        self._lister = Lister(kube, self._store, self._discovery, namespaces=settings.namespaces, look_at=self._look_over, backoff=RETRIES)
        self._lease = Lease(kube, lease_ref(settings.namespace), settings.pod_name, timing)
        self._figures = EngineReader(pages, self._store.get, self._engine_answered)
        self._heartbeats = Heartbeats(self._store.get, self._heard_of, metrics)
        self._counters: Scrapes | Queries = (
            Queries(prometheus, self._store.get, self._engine_answered, metrics.queried)
            if prometheus
            else Scrapes(pages, self._store.get, self._engine_answered, metrics.scraped)
        )
        self._models = ModelDeployments(
            kube,
            Senses(self._store, self._figures, self._heartbeats, self._counters),
            defaults=settings.defaults,
            apis=lambda namespace: self._discovery.apis - self._lister.refused.apis(namespace),
            clock=lambda: datetime.now(UTC),
            identity=settings.pod_name,
        )
        self._workers = Workers(self._queue, self._reconcile, metrics)

    def not_ready(self) -> str:
        """Why this replica could not do its work, a sentence. Empty when it could, whether it leads or waits."""
        return self._discovery.problem or self._lister.problem or self._lease.problem

    def remark(self) -> str:
        """Where this replica does not do its work, sentences. Empty: nowhere."""
        return self._lister.remark

    async def run(self) -> None:
        """Work until cancelled. LeaseLost (in an ExceptionGroup) when another replica may have taken over."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._discovery.run(), name="discovery")
            group.create_task(self._watch(), name="watches")
            group.create_task(self._lister.run(), name="lister")
            group.create_task(self._lead(), name="leader")

    async def _lead(self) -> None:
        await self._lease.acquire()
        log.info("this replica leads", extra={"identity": self._settings.pod_name})
        self._leads = True
        self._metrics.leader.set(1)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._lease.hold(), name="lease")
                group.create_task(self._work(), name="workers")
        finally:
            self._metrics.leader.set(0)
            await self._lease.release()

    async def _work(self) -> None:
        # What the last leader wrote is in a listing that begins now; the watches may be a moment behind.
        await self._lister.fresh()
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._workers.run())
            for _ in range(READERS):
                group.create_task(self._figures.run())
            group.create_task(self._heartbeats.run(), name="heartbeats")
            for _ in range(SCRAPERS if isinstance(self._counters, Scrapes) else 1):
                group.create_task(self._counters.run())

    async def _reconcile(self, key: Ref) -> Outcome:
        model = self._store.get(key)
        if model is not None and self._lister.refused.hides(model):
            self._metrics.conditions(key, None)  # nobody knows what they are now
            return Outcome()  # a listing names it when that is over
        try:
            return await self._models.reconcile(key)
        finally:
            self._metrics.conditions(key, self._store.get(key))

    async def _watch(self) -> None:
        """Watch what is served. kopf watches a fixed set of kinds: when the set changes it begins again."""
        while True:
            resources = await self._discovery.ready()
            watching = asyncio.create_task(self._watch_these(resources), name="watching")
            other = asyncio.create_task(self._discovery.other_than(resources), name="other kinds")
            try:
                await asyncio.wait((watching, other), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (watching, other):
                    task.cancel()
                await asyncio.gather(watching, other, return_exceptions=True)
            self._lister.hint()

    async def _watch_these(self, resources: Sequence[Resource]) -> None:
        try:
            await Watches(resources, self._settings.namespaces, self._login, self._heard).run()
        except Exception as problem:  # noqa: BLE001  # whatever ended kopf, watching goes on
            log.warning("the watches ended and begin again", extra={"why": f"{type(problem).__name__}: {problem}"})
        await asyncio.sleep(RESTART)
        await self._discovery.look()

    def _heard(self, of: Resource, how: str | None, manifest: Manifest) -> None:
        """A watch event. A listing of kopf's (None) means that a stream began afresh."""
        self._metrics.heard(of.plural)
        if how is None:
            self._lister.hint()
        if how == "DELETED":
            self._store.drop(manifest)
        else:
            self._store.put(manifest)

    def _look_at(self, model: Ref) -> None:
        # A replica that waits keeps no backlog: when it leads, a listing names every model.
        if self._leads:
            self._queue.add(model)

    def _look_over(self, model: Ref) -> None:
        """Though nothing happened: it may wait for what did."""
        if self._leads:
            self._queue.add_patient(model)

    def _changed(self, old: Manifest | None, new: Manifest | None) -> None:
        for each in concerned(self._store, old, new):
            self._look_at(each)
        if old is not None and new is None:
            self._figures.forget(ref(old))
            self._heartbeats.forget(ref(old))
            self._counters.forget(ref(old))

    def _wrote(self, old: Manifest | None, new: Manifest | None) -> None:
        for each in told(self._store, old, new):
            self._look_at(each)

    def _heard_of(self, pod: Manifest) -> None:
        """The operator's own connection to a pod says something new."""
        self._look_at(model_ref(pod["metadata"]["namespace"], model_label(pod)))
        for each in companions(self._store, pod):
            self._look_at(each)

    def _engine_answered(self, pod: Manifest) -> None:
        self._look_at(model_ref(pod["metadata"]["namespace"], model_label(pod)))
