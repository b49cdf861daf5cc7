"""Which of our replicas leads: a Lease, by client-go's rules, released on a graceful end.

candidate --(free, or not renewed for `duration`)--> leader --(not renewed for `renew_deadline`)--> lost: the process ends

Clocks of machines differ, so nobody compares the times in the record: a candidate watches whether the record *changes*, by its own
monotonic clock. `renew_deadline` is shorter than `duration`: whoever cannot renew stops before another may start.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from allod.adapters.errors import ApiError, Conflict, NotFound
from allod.domain.manifest import Ref
from allod.runtime.complaint import Complaint

if TYPE_CHECKING:
    from allod.adapters.kube import Kube
    from allod.domain.manifest import Manifest

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. client-go's defaults, tried in ten years of clusters."""

    duration: float = 15
    """A candidate takes over when the record has not changed for so long."""
    renew_deadline: float = 10
    """The leader gives up when it could not renew for so long."""
    retry: float = 2
    """Between two attempts to acquire or to renew."""


CLIENT_GO = Timing()


class LeaseLost(Exception):  # noqa: N818  # it is read as what happened
    """We led and could not renew in time: another replica may lead now, so this process must not write any more."""


class Lease:
    """One replica's part in the election."""

    def __init__(self, kube: Kube, target: Ref, identity: str, timing: Timing = CLIENT_GO) -> None:
        """`identity` must differ between replicas: the pod's name."""
        self._kube, self._target, self._identity, self._timing = kube, target, identity, timing
        self._complaint = Complaint("the lease cannot be acquired or renewed", "the lease can be acquired or renewed again")
        self._record: Manifest | None = None
        self._changed_at = 0.0
        """When the record was last seen to change, by our monotonic clock."""
        self._renewed = 0.0
        """When the last attempt that succeeded began, by the same. From its write on, somewhere within the attempt, a candidate counts: to
        count from the answer, which may come seconds later, would be to lead while another one does already."""

    @property
    def problem(self) -> str:
        """Why the last attempt failed, a sentence for /readyz. Empty when it worked, or when another replica leads."""
        return self._complaint.problem

    async def acquire(self) -> None:
        """Return when we lead. Waits as long as another does, and while the API server is away."""
        while not await self._try():  # noqa: ASYNC110  # what is waited for happens in another process
            await asyncio.sleep(self._timing.retry)

    async def hold(self) -> None:
        """Renew for ever. LeaseLost when that did not work for `renew_deadline` seconds."""
        while True:
            await asyncio.sleep(self._timing.retry)
            try:
                async with asyncio.timeout_at(self._renewed + self._timing.renew_deadline):
                    while not await self._try():
                        if self._record is not None and self._holder(self._record) != self._identity:
                            raise LeaseLost(f"{self._holder(self._record) or 'nobody'} holds the lease now")
                        await asyncio.sleep(self._timing.retry)
            except TimeoutError as late:
                waited = f"{self._timing.renew_deadline:g} s"
                raise LeaseLost(f"the lease could not be renewed for {waited} ({self.problem or 'no answer'})") from late

    async def release(self) -> None:
        """Let another replica lead at once. Does nothing when we do not lead; a failure only costs the others `duration`."""
        if self._record is None or self._holder(self._record) != self._identity:
            return
        free = {**self._record, "spec": {**self._record["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}}
        try:
            self._record = await self._kube.replace(free)
        except ApiError as problem:
            log.warning("the lease could not be released", extra={"error": str(problem)})

    async def _try(self) -> bool:
        """One attempt to acquire or to renew."""
        began = asyncio.get_running_loop().time()
        try:
            record = await self._read()
            if record is None:
                self._see(await self._kube.create(self._claim(None)))
            else:
                self._see(record)
                if self._holder(record) not in ("", self._identity) and not self._expired():
                    self._complaint.say("")
                    return False
                self._see(await self._kube.replace(self._claim(record)))
        except Conflict:  # somebody was faster
            return False
        except ApiError as problem:
            self._complaint.say(str(problem))
            return False
        self._complaint.say("")
        self._renewed = began
        return True

    async def _read(self) -> Manifest | None:
        try:
            return await self._kube.get(self._target)
        except NotFound:
            return None

    def _see(self, record: Manifest) -> None:
        if self._record is None or record.get("spec") != self._record.get("spec"):
            self._changed_at = asyncio.get_running_loop().time()
        self._record = record

    def _expired(self) -> bool:
        return asyncio.get_running_loop().time() - self._changed_at >= self._timing.duration

    def _claim(self, record: Manifest | None) -> Manifest:
        """The record that says that we lead: renewed if we already do, taken over with one transition more if not."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before: dict[str, Any] = (record or {}).get("spec") or {}
        ours = before.get("holderIdentity") == self._identity
        return {
            "apiVersion": self._target.api_version,
            "kind": self._target.kind,
            "metadata": record["metadata"] if record else {"name": self._target.name, "namespace": self._target.namespace},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": int(self._timing.duration),
                "acquireTime": before.get("acquireTime", now) if ours else now,
                "renewTime": now,
                "leaseTransitions": before.get("leaseTransitions", -1) + (0 if ours else 1),
            },
        }

    @staticmethod
    def _holder(record: Manifest) -> str:
        return str(record.get("spec", {}).get("holderIdentity") or "")


def lease_ref(namespace: str) -> Ref:
    """The one Lease of an installation."""
    return Ref("coordination.k8s.io/v1", "Lease", namespace, "allod")
