"""Lists everything at the start, every ten minutes, and when a watch stream broke: the store is complete whatever the watches miss."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from allod.adapters.errors import ApiError, NotFound
from allod.adapters.resources import MODELDEPLOYMENTS, OPTIONAL
from allod.runtime.complaint import Complaint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from allod.adapters.kube import Kube
    from allod.domain.manifest import Ref
    from allod.runtime.discovery import Discovery
    from allod.runtime.store import Store
    from allod.runtime.workqueue import Backoff

PERIOD = 600.0
"""Seconds between two listings of a quiet cluster. Each is followed by a look at every model: the resync."""
JITTER = 0.1
"""Up to this part more, by chance: replicas do not list together."""
SETTLE = 1.0
"""Seconds from the first hint that a listing is due to the listing: one interruption gives a hint for each object."""


class Lister:
    """Keeps the store complete."""

    def __init__(
        self,
        kube: Kube,
        store: Store,
        discovery: Discovery,
        *,
        namespaces: Sequence[str],
        look_at: Callable[[Ref], None],
        backoff: Backoff,
    ) -> None:
        """`look_at` is told of each model after each listing. Without namespaces: all of the cluster."""
        self._kube, self._store, self._discovery = kube, store, discovery
        self._namespaces, self._look_at, self._backoff = tuple(namespaces) or ("",), look_at, backoff
        self._due = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._complaint = Complaint(
            "the cluster cannot be listed", "the cluster is known", "the first listing of the cluster is not finished"
        )

    @property
    def problem(self) -> str:
        """Why the store is not to be trusted, a sentence for /readyz. Empty when it is."""
        return self._complaint.problem

    def hint(self) -> None:
        """A watch stream began afresh: it may have missed deletions."""
        self._due.set()

    async def run(self) -> None:
        """List for ever."""
        while True:
            await self.fresh()
            await self._until_due()

    async def fresh(self) -> None:
        """List, and return when it is done: the store is complete as of the moment of this call. Waits while the API server is away."""
        failures = 0
        while True:
            await self._discovery.ready()
            try:
                async with self._one_at_a_time:
                    await self._list()
            except ApiError as problem:
                failures += 1
                self._complaint.say(str(problem))
                await asyncio.sleep(self._backoff.delay(failures))
            else:
                return self._complaint.say("")

    async def _until_due(self) -> None:
        try:
            async with asyncio.timeout(PERIOD * (1 + JITTER * random.random())):  # noqa: S311  # jitter is no secret
                await self._due.wait()
        except TimeoutError:
            return
        await asyncio.sleep(SETTLE)
        self._due.clear()

    async def _list(self) -> None:
        self._store.listing_begins()
        served = self._discovery.resources
        for each in served:
            for namespace in self._namespaces:
                try:
                    listing = await self._kube.list(each, namespace)
                except NotFound:  # its CRD has just gone: discovery will notice
                    self._store.clear(each)
                else:
                    self._store.replace(each, namespace, listing)
        for each in OPTIONAL:
            if each not in served:
                self._store.clear(each)
        for target in self._store.refs(MODELDEPLOYMENTS.api_version, MODELDEPLOYMENTS.kind):
            self._look_at(target)
