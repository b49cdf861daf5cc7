"""Lists everything at the start, every ten minutes, and when a watch stream broke: the store is complete whatever the watches miss.

A list that is refused stops nobody else: what was known there stays, and `refused` says whose models are to be left alone.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING

from allod.adapters.errors import ApiError, Invalid, NotFound
from allod.adapters.resources import MODELDEPLOYMENTS, OPTIONAL
from allod.runtime.complaint import Complaint
from allod.runtime.refused import Refused
from allod.runtime.workqueue import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from allod.adapters.kube import Kube
    from allod.adapters.resources import Resource
    from allod.domain.manifest import Ref
    from allod.runtime.discovery import Discovery
    from allod.runtime.store import Store

PERIOD = 600.0
"""Seconds between two listings of a quiet cluster. Each is followed by a look at every model: the resync."""
REFUSED_AGAIN = Backoff(first=1, cap=50)
"""Until it is asked again for what was refused, within a minute: no event tells that a right was granted, and an API server that starts may
refuse for a moment what it grants for good."""
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
        self._parts = Complaint("a part of the cluster cannot be listed", "all of the cluster can be listed")
        self.refused = Refused()
        """What the store does not know, or only as it was."""

    @property
    def problem(self) -> str:
        """Why the store is not to be trusted, a sentence for /readyz. Empty when it is."""
        return self._complaint.problem

    @property
    def remark(self) -> str:
        """Which part of the store is not to be trusted, sentences for /readyz. Empty: none."""
        return self._parts.problem

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
                return self._say()

    def _say(self) -> None:
        """Nobody has to be told that a part is refused where nothing is left to work on."""
        problem, blind = self.refused.problem, all(self.refused.blinds(each) for each in self._namespaces)
        self._complaint.say(problem if blind else "")
        if not blind:
            self._parts.say(problem)

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + PERIOD * (1 + JITTER * random.random())  # noqa: S311  # jitter is no secret
        refusals = 1
        while (left := until - loop.time()) > 0:
            try:
                async with asyncio.timeout(min(left, REFUSED_AGAIN.delay(refusals)) if self.refused.lists() else left):
                    await self._due.wait()
            except TimeoutError:
                if await self._granted():
                    return
                refusals += 1
            else:
                await asyncio.sleep(SETTLE)
                self._due.clear()
                return

    async def _granted(self) -> bool:
        """Whether something that was refused is no longer."""
        for each, namespace in self.refused.lists():
            with suppress(ApiError):
                await self._kube.list(each, namespace)
                return True
        return False

    async def _list(self) -> None:
        self._store.listing_begins()
        served = self._discovery.resources
        for each in served:
            for namespace in self._namespaces:
                await self._list_one(each, namespace)
        for each in OPTIONAL:
            if each not in served:
                self._forget(each)
        if self.refused.everywhere(MODELDEPLOYMENTS, self._namespaces):
            raise Invalid(self.refused.problem)
        for target in self._store.refs(MODELDEPLOYMENTS.api_version, MODELDEPLOYMENTS.kind):
            self._look_at(target)

    async def _list_one(self, of: Resource, namespace: str) -> None:
        """No look at a model comes between what is noted as refused, or no longer so, and what is known then."""
        try:
            listing = await self._kube.list(of, namespace)
        except NotFound:  # its CRD has just gone: discovery will notice
            self._forget(of)
        except Invalid as problem:
            self.refused.note(of, namespace, str(problem))
            if of in OPTIONAL:  # as if it were not served there; else it would count as made by us, and as wanted no more
                self._store.clear(of, namespace)
        else:
            self.refused.note(of, namespace, "")
            self._store.replace(of, namespace, listing)

    def _forget(self, of: Resource) -> None:
        """It is not served."""
        for namespace in self._namespaces:
            self.refused.note(of, namespace, "")
        self._store.clear(of)
