"""From a plan to the cluster: only what differs is sent, in order, and what the API server answers is known at once."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from allod.adapters.errors import AlreadyExists, ApiError, Conflict, Invalid, NotFound
from allod.domain.manifest import ABSENT, ref
from allod.domain.names import APPLIED
from allod.reconcile.difference import claimed, crowded
from allod.reconcile.tell import again, event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from datetime import datetime

    from allod.adapters.kube import Kube
    from allod.domain.manifest import Manifest, Ref
    from allod.domain.plan import Ending, Event, Plan
    from allod.reconcile.world import World

log = logging.getLogger(__name__)

UNTOLD = 16
"""Events of one model that are kept for another try, the newest: a few steps."""
TELLING = 2.0
"""Seconds of a look for all events: their etcd may be another one, and down, and a failover of the same model waits behind the look."""
TELL_AGAIN = timedelta(seconds=30)
"""Until events that were not taken are sent again."""


@dataclass(slots=True)
class Sent:
    """What came of carrying out a plan."""

    changed: bool = False
    """Something was written."""
    refusal: Invalid | None = None
    """The first thing that the API server, or the owner of a name, did not let be done."""
    refused: set[Ref] = field(default_factory=set)
    """What could not be written."""

    async def take(self, target: Ref, write: Awaitable[bool]) -> None:
        """Wait for one write. What is refused is noted; what the queue may retry goes on to it."""
        try:
            self.changed |= await write
        except Invalid as problem:
            self.refusal = self.refusal or problem
            self.refused.add(target)


class NameTaken(Invalid):
    """An object of a child's name is there and is not ours: we would break what somebody else runs."""


class Apply:
    """Carries out what was decided about models."""

    def __init__(self, kube: Kube, world: World, identity: str) -> None:
        """`identity` is the pod's name, for events."""
        self._kube, self._world, self._identity = kube, world, identity
        self._settled: dict[Ref, dict[Ref, tuple[str, Manifest]]] = {}
        """By model and child: what the API server made of our fields (hash as sent, fields as answered) where it writes a value in its own
        way: "1000m" of CPU comes back as "1", and a webhook may add a container. That is no drift, as long as it stays so."""
        self._untold: dict[Ref, tuple[datetime, list[Manifest]]] = {}
        """Events that the API server did not take, by model, and when to try again. The step is in the status by then, so nobody would tell
        of it again."""

    def forget(self, model: Ref) -> None:
        """The model is gone: its children go by the garbage collector's hand."""
        self._settled.pop(model, None)
        self._untold.pop(model, None)

    async def plan(self, model: Manifest, steps: Plan) -> Sent:
        """Carry out everything but status and events. What is refused holds up StatefulSets alone."""
        sent = Sent()
        for each in steps.objects:
            # Pods are not started without what should stand around them: a policy, a name.
            if sent.refusal is None or each["kind"] != "StatefulSet":
                await sent.take(ref(each), self._child(model, each))
        for target in steps.delete:
            await sent.take(target, self._delete(model, target))
        for pod in steps.marks:
            await sent.take(ref(pod), self._mark(pod))
        for ending in steps.endings:
            await sent.take(ref(ending.pod), self._end(ending))
        return sent

    async def _child(self, model: Manifest, wanted: Manifest) -> bool:
        target, settled = ref(wanted), self._settled.setdefault(ref(model), {})
        live = self._world.get(target) or await self._look(model, target)
        if live is not None:
            _require_ours(model, live)
            # What is on its way out comes back by the event of its end; applied now, it would go anyway.
            now = claimed(wanted, live)
            as_wanted = now == wanted or settled.get(target) == (wanted["metadata"]["annotations"][APPLIED], now)
            if "deletionTimestamp" in live["metadata"] or as_wanted:
                return False
        answer = await self._send(wanted, live)
        self._world.wrote(answer)
        left = claimed(wanted, answer)
        if left == wanted:
            settled.pop(target, None)
        else:
            settled[target] = (wanted["metadata"]["annotations"][APPLIED], left)
        return True

    async def _send(self, wanted: Manifest, live: Manifest | None) -> Manifest:
        """Server-side apply leaves items that somebody added to a list, and is refused if they clash with ours. A merge takes them out.

        Nothing but the very object that was looked at is written to, and none is made where one has come since: forced, an apply would take
        it over, and give it our owner reference, by which it would end with the model.
        """
        try:
            answer = await self._kube.apply(_only(wanted, {"resourceVersion": ABSENT} if live is None else _this(live)))
        except Invalid:
            if live is None:
                raise
            return await self._kube.merge(_only(wanted, _this(live)))
        return await self._kube.merge(_only(wanted, _this(answer))) if crowded(wanted, answer) else answer

    async def _look(self, model: Manifest, target: Ref) -> Manifest | None:
        """Ask for an object that is not known: it may be there without our labels.

        Then it may be somebody else's, of which no watch tells us, so it must not be believed to be there for longer than this look.
        """
        try:
            found = await self._kube.get(target)
        except NotFound:
            return None
        _require_ours(model, found)
        self._world.wrote(found)
        return found

    async def _delete(self, model: Manifest, target: Ref) -> bool:
        """Returns whether anything was sent. A StatefulSet stays known until its pods have left their GPUs."""
        live = self._world.get(target)
        if live is None or "deletionTimestamp" in live["metadata"]:
            return False
        left = await self._kube.delete(live, "Foreground" if target.kind == "StatefulSet" else "Background")
        self._settled.get(ref(model), {}).pop(target, None)
        if left is None:
            self._world.deleted(live)
        else:
            self._world.wrote(left)
        return True

    async def _mark(self, pod: Manifest) -> bool:
        """Change a label or an annotation of a pod; one that is gone or was replaced meanwhile is no concern of ours."""
        with suppress(Conflict, NotFound):
            self._world.wrote(await self._kube.merge(pod))
        return True

    async def _end(self, ending: Ending) -> bool:
        """Delete a pod. It stays known while it ends, also without grace where it has a finalizer.

        One that was replaced meanwhile is no concern of ours.
        """
        with suppress(Conflict):
            left = await self._kube.delete(ending.pod, grace=ending.grace)
            if left is None:
                self._world.deleted(ending.pod)
            else:
                self._world.wrote(left)
        return True

    async def status(self, model: Manifest, status: Manifest) -> bool:
        """Write the status if it differs from the one that was read. Conflict when somebody wrote to the object since."""
        if status == (model.get("status") or {}):
            return False
        self._world.wrote(await self._kube.patch_status(model, status))
        return True

    async def events(self, model: Manifest, events: Sequence[Event], now: datetime) -> bool:
        """Tell what happened, and what could not be told before. Returns whether something is left to be told.

        The same step within the hour that an event lives is one event, which counts how often.
        """
        meta = model["metadata"]
        what = {"kind": model["kind"], "namespace": meta["namespace"], "object": meta["name"], "generation": meta.get("generation")}
        for each in events:
            log.log(logging.INFO if each.type == "Normal" else logging.WARNING, each.message, extra={**what, "reason": each.reason})
        try_at, before = self._untold.pop(ref(model), (now, []))
        due = before if now >= try_at else []
        failed = await self._fail([*due, *(event(model, each, now, self._identity) for each in events)], now)
        left = [*([] if due else before), *failed]
        if left:
            self._untold[ref(model)] = (now + TELL_AGAIN if failed else try_at, left[-UNTOLD:])
        return bool(left)

    async def _fail(self, said: Sequence[Manifest], now: datetime) -> list[Manifest]:
        """Send events. Returns those that were not taken within the time for all of them."""
        waits = list(said)
        failed: list[Manifest] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(TELLING):
                while waits:
                    if not await self._told(waits[0], now):
                        failed.append(waits[0])
                    waits.pop(0)
        return [*failed, *waits]

    async def _told(self, said: Manifest, now: datetime) -> bool:
        """Whether it is over. An event that fails must not fail the look at the model, nor keep the next one from being told."""
        try:
            await self._tell(said, now)
        except (Invalid, NotFound) as problem:  # a namespace that is being deleted, or is gone, takes none; the status has said it already
            log.debug("an event was refused", extra={"error": str(problem)})
        except ApiError as problem:
            log.debug("an event is told later", extra={"error": str(problem)})
            return False
        return True

    async def _tell(self, said: Manifest, now: datetime) -> None:
        try:
            await self._kube.create(said)
        except AlreadyExists:
            with suppress(NotFound):  # its hour was over in this moment
                there = await self._kube.get(ref(said))
                if there.get("eventTime") != said["eventTime"]:  # else it is this very one, of which no answer had come
                    await self._kube.merge(again(there, now))


def _this(live: Manifest) -> Manifest:
    return {"uid": live["metadata"]["uid"]}


def _only(wanted: Manifest, which: Manifest) -> Manifest:
    """What to write, and what must be there for it to be written."""
    return {**wanted, "metadata": {**wanted["metadata"], **which}}


def _require_ours(model: Manifest, live: Manifest) -> None:
    """NameTaken unless this model controls the object. Conflict when a deleted model of the same name did: its remains are going."""
    controller = next((each for each in live["metadata"].get("ownerReferences") or () if each.get("controller")), None)
    meta = model["metadata"]
    if controller is not None and controller["uid"] == meta["uid"]:
        return
    whose = f"it belongs to {controller['kind']} {controller['name']}" if controller else "nobody's controller made it"
    if controller is not None and (controller["kind"], controller["name"]) == (model["kind"], meta["name"]):
        raise Conflict(f"{ref(live)} is still there from a deleted {model['kind']} {meta['name']}")
    raise NameTaken(f"{ref(live)} is there already and is not ours ({whose}): delete it, or give this {model['kind']} another name")
