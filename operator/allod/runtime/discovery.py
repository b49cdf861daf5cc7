"""Which of our kinds the cluster serves now. CRDs come and go: ours may be installed after us, the Prometheus operator's much later."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from allod.adapters.errors import ApiError
from allod.adapters.resources import MODELDEPLOYMENTS, OPTIONAL, REQUIRED
from allod.runtime.complaint import Complaint

if TYPE_CHECKING:
    from allod.adapters.kube import Kube
    from allod.adapters.resources import Resource

WAITING = 2.0
"""Seconds between two looks while we cannot work yet."""
WORKING = 30.0
"""Seconds between two looks while we work: how soon a PodMonitor follows its CRD."""

MISSING = (
    f"the cluster does not know the kind ModelDeployment: apply crds/ of this release, or install the chart with crds.install=true "
    f"(CustomResourceDefinition {MODELDEPLOYMENTS.plural}.{MODELDEPLOYMENTS.group})"
)


class Discovery:
    """Looks again and again, and tells who waits."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._changed = asyncio.Condition()
        self._complaint = Complaint("not ready", "the cluster serves what is needed", "the API server was not asked yet")
        self.resources: tuple[Resource, ...] = ()
        """What to list and to watch now. Empty until our own kind is served."""

    @property
    def problem(self) -> str:
        """Why we cannot work, a sentence for /readyz. Empty when we can."""
        return self._complaint.problem

    @property
    def apis(self) -> frozenset[str]:
        """The optional ones of them, as group/version/Kind."""
        return frozenset(f"{each.api_version}/{each.kind}" for each in self.resources if each in OPTIONAL)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(WORKING if self.resources and not self.problem else WAITING)

    async def look(self) -> None:
        """Look now. While the API server does not answer, what was found last stays."""
        try:
            found = await self._find()
        except ApiError as problem:
            self._complaint.say(str(problem))
            return
        self._complaint.say("" if found else MISSING)
        if found != self.resources:
            async with self._changed:
                self.resources = found
                self._changed.notify_all()

    async def ready(self) -> tuple[Resource, ...]:
        """Wait until our own kind is served. Returns what is served then."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self.resources))
            return self.resources

    async def other_than(self, known: tuple[Resource, ...]) -> None:
        """Wait until something else is served than what is known."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.resources != known)

    async def _find(self) -> tuple[Resource, ...]:
        versions = {each.api_version for each in (MODELDEPLOYMENTS, *OPTIONAL)}
        served = {version: await self._kube.served(version) for version in sorted(versions)}
        if MODELDEPLOYMENTS.kind not in served[MODELDEPLOYMENTS.api_version]:
            return ()
        return (*REQUIRED, *(each for each in OPTIONAL if each.kind in served[each.api_version]))
