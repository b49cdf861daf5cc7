"""The operator's own eye: one kept heartbeat connection per pod that runs an engine, so that a dead or silent one is known at once."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from allod.adapters.heartbeat import Heartbeat, Observer, Target
from allod.adapters.verdicts import POLLED, PUSHED, Page
from allod.domain.manifest import Ref, ref
from allod.domain.names import HTTP_PORT, MODEL, REVISION
from allod.domain.serving import pod as pods
from allod.domain.serving.groups.group import leads
from allod.domain.serving.health.beat import STATES
from allod.domain.serving.health.evidence import SILENT, blindness
from allod.domain.serving.health.listening import BLINK, TICK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from allod.domain.manifest import Manifest
    from allod.domain.serving.health.beat import Beat, State
    from allod.runtime.metrics import Metrics

log = logging.getLogger(__name__)

PAGES: Mapping[str, Page] = {"/allod/ready": PUSHED, "/health": POLLED}
"""By the path of the readiness probe: it tells the engine's type, and it is in the pod itself. A user who probes another path is not
listened to."""
ROUND = 20
"""Ticks from one search for pods that went away unnoticed to the next: a second."""


@dataclass(frozen=True, slots=True)
class Life:
    """One start of one engine, and where it is heard."""

    uid: str
    restarts: int
    target: Target


@dataclass(slots=True)
class Kept:
    """One connection, and the pod as it was last seen."""

    pod: Manifest
    life: Life
    heartbeat: Heartbeat
    signs: tuple[bool, bool]
    """Started and ready, as kubelet says."""


class Heartbeats:
    """What engines say, heard on kept connections. `of` keeps one for each pod that it is asked about."""

    def __init__(
        self, pod: Callable[[Ref], Manifest | None], changed: Callable[[Manifest], None], metrics: Metrics, *, port: int = HTTP_PORT
    ) -> None:
        """`pod` finds a pod as it is now; `changed(pod)` is told when a pod's state or fault changes, not at each beat."""
        self._pod, self._changed, self._metrics, self._port = pod, changed, metrics, port
        self._observer = Observer()
        self._kept: dict[Ref, Kept] = {}
        self._blind = False
        """By the last answer that was given: when it is over, what was silent in it has to be looked at once more."""
        metrics.heartbeat_states(STATES, self.count)

    def of(self, seen: Iterable[Manifest]) -> Mapping[str, Beat]:
        """By uid, of pods of ours whose engine runs now. A pod that is new here is Unknown, and listened to from now on."""
        found: dict[str, Beat] = {}
        for each in seen:
            if (life := _life(each, self._port)) is not None:
                found[life.uid] = self._of(each, life).heartbeat.beat
        return found

    def count(self, state: State) -> int:
        """How many pods are in a state."""
        return sum(each.heartbeat.beat.state == state for each in self._kept.values())

    def blind(self) -> str:
        """Why silence says nothing at present. Empty when it does."""
        quiet = self._observer.attention.now - self._observer.heard_at
        why = blindness(((str(each.pod["spec"].get("nodeName", "")), each.heartbeat.beat) for each in self._kept.values()), quiet)
        self._blind = bool(why)
        return why

    def forget(self, target: Ref) -> None:
        """The pod is gone."""
        if (kept := self._kept.pop(target, None)) is not None:
            kept.heartbeat.close()

    async def run(self) -> NoReturn:
        """Listen until cancelled, then close every connection."""
        loop, attention, ticks = asyncio.get_running_loop(), self._observer.attention, 0
        try:
            while True:
                late = attention.look(loop.time())
                if late > BLINK:
                    log.warning("the event loop stood still; silence in this time does not count", extra={"seconds": round(late, 2)})
                self._metrics.listened(self._observer.take_beats(), late)
                self._act()
                if self._blind and not self.blind():
                    self._look_again()
                ticks += 1
                if ticks % ROUND == 0:
                    self._leave()
                await asyncio.sleep(TICK)
        finally:
            for each in tuple(self._kept):
                self.forget(each)

    def _act(self) -> None:
        now = self._observer.attention.now
        for each in tuple(self._kept.values()):
            if each.heartbeat.due <= now:
                each.heartbeat.act()

    def _look_again(self) -> None:
        for each in tuple(self._kept.values()):
            if each.heartbeat.beat.state in SILENT:
                self._changed(each.pod)

    def _leave(self) -> None:
        """Pods that are gone, or run no engine that we know: an own delete of a pod is no news to anybody."""
        for target, kept in tuple(self._kept.items()):
            now = self._pod(target)
            if now is not kept.pod and (now is None or _life(now, self._port) != kept.life):
                self.forget(target)

    def _of(self, pod: Manifest, life: Life) -> Kept:
        target = ref(pod)
        kept, signs = self._kept.get(target), _signs(pod)
        if kept is None or kept.life != life:
            self.forget(target)
            kept = self._kept[target] = self._listen(pod, life, signs)
        elif kept.signs != signs:
            kept.signs = signs
            kept.heartbeat.hurry(proven=signs[0])
        kept.pod = pod
        return kept

    def _listen(self, pod: Manifest, life: Life, signs: tuple[bool, bool]) -> Kept:
        heartbeat = Heartbeat(life.target, self._observer, lambda: self._changed(kept.pod), proven=signs[0])
        kept = Kept(pod, life, heartbeat, signs)
        heartbeat.look()
        return kept


def _life(pod: Manifest, port: int) -> Life | None:
    """None: not one of ours, or its engine does not run or answers by another pod, or it is not known how to listen to it."""
    meta, status = pod["metadata"], pod.get("status") or {}
    labels, address, engine = meta.get("labels") or {}, status.get("podIP"), pods.container(pod, pods.ENGINE)
    if engine is None or not engine.running or not address or MODEL not in labels or REVISION not in labels or not leads(pod):
        return None
    page = PAGES.get(_probed(pod))
    return Life(meta["uid"], engine.restarts, Target(address, port, page)) if page else None


def _probed(pod: Manifest) -> str:
    """Path of the engine's readiness probe."""
    parts = (pod.get("spec") or {}).get("containers") or ()
    probe = next((each.get("readinessProbe") or {} for each in parts if each["name"] == pods.ENGINE), {})
    return str((probe.get("httpGet") or {}).get("path", ""))


def _signs(pod: Manifest) -> tuple[bool, bool]:
    engine = pods.container(pod, pods.ENGINE)
    return (engine.started, engine.ready) if engine is not None else (False, False)
