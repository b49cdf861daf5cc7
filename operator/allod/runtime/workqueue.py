"""A queue of keys, as client-go's: what is added while it is being worked on is worked on once more, never twice at once."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Hashable

log = logging.getLogger(__name__)

K = TypeVar("K", bound="Hashable")

AHEAD = 4
"""Keys of events that may go ahead of a patient one in a row: a resync takes longer in busy times, and still ends."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next attempt, by the number of failures in a row."""

    first: float
    """Seconds after the first failure; doubled after each further one."""
    cap: float
    """Seconds, never more than this, so that recovery is noticed soon."""
    jitter: float = 0.1
    """Up to this part more, by chance: a thousand keys that failed together do not come back together."""

    def delay(self, failures: int, chance: Callable[[], float] = random.random) -> float:
        """Seconds to wait after so many failures in a row (1 or more)."""
        # 2.0 ** 1024 overflows; long before that the cap rules.
        return min(self.cap, self.first * 2.0 ** min(failures - 1, 60)) * (1 + self.jitter * chance())


class WorkQueue(Generic[K]):
    """Keys that wait for a worker.

    A key is *dirty* when it waits and *busy* while a worker has it. Adding a dirty key changes nothing; adding a busy one makes it
    dirty again once the worker is done. So however fast events come, one key has one worker, and the last event is never lost.

    There are two lanes, and each gives its keys in the order in which they came. *Patient* keys are of looks that nothing asked for: a
    failover must not wait for a thousand of them, so they let others go ahead, `AHEAD` at most for each of them.
    """

    def __init__(self, backoff: Backoff, on_wait: Callable[[float], None] = lambda _: None) -> None:
        """`on_wait(seconds)` is told how long each key waited for a worker."""
        self._backoff = backoff
        self._on_wait = on_wait
        self._dirty: dict[K, float] = {}
        """When each was added, in order: a dict is a set that remembers the order."""
        self._patient: dict[K, float] = {}
        """The same, of those that let others go ahead. No key is in both."""
        self._ahead = 0
        """How many went ahead of the first of them."""
        self._busy: set[K] = set()
        self._again: dict[K, tuple[float, bool]] = {}
        """When each was added during the work on it, and whether it is patient."""
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        """How many wait now, the delayed ones not counted."""
        return len(self._dirty) + len(self._patient) + len(self._again)

    def add(self, key: K) -> None:
        """Work on the key as soon as a worker is free."""
        self._cancel_timer(key)
        self._add(key, patient=False)

    def add_patient(self, key: K) -> None:
        """Work on the key when others leave a worker free. A delay that is shorter than that still counts."""
        self._add(key, patient=True)

    def add_after(self, key: K, seconds: float) -> None:
        """Work on the key after a delay, or sooner if it is added meanwhile. Of two delays the shorter counts."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= loop.time() + seconds:
            return
        self._cancel_timer(key)
        self._timers[key] = loop.call_later(seconds, self.add, key)

    def retry(self, key: K) -> float:
        """Work on the key again after the backoff of its failures in a row. Returns the delay in seconds."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = self._backoff.delay(failures)
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """The key succeeded: its next failure is the first again."""
        self._failures.pop(key, None)

    @asynccontextmanager
    async def take(self) -> AsyncIterator[K]:
        """Wait for a key and hold it: nobody else gets it until the block ends."""
        while not (self._dirty or self._patient):
            self._filled.clear()
            await self._filled.wait()
        lane = self._lane()
        key = next(iter(lane))
        added = lane.pop(key)
        self._busy.add(key)
        self._on_wait(asyncio.get_running_loop().time() - added)
        try:
            yield key
        finally:
            self._busy.discard(key)
            if (again := self._again.pop(key, None)) is not None:
                self._wait(key, *again)

    async def serve(self, work: Callable[[K], Awaitable[None]]) -> NoReturn:
        """Work on keys for ever. Several may do so at once. `work` says itself when a key is due again.

        One on which it fails, by a bug of ours, is tried again by the backoff: it must stop neither the work on others nor the process.
        """
        while True:
            async with self.take() as key:
                try:
                    await work(key)
                except Exception as problem:  # what one pod answers must not end the operator of all
                    delay = self.retry(key)
                    log.exception("a task failed", extra={"object": str(key), "seconds": round(delay, 1), "error": str(problem)})

    def _add(self, key: K, *, patient: bool) -> None:
        now = asyncio.get_running_loop().time()
        if key in self._busy:
            since, was_patient = self._again.get(key, (now, True))
            self._again[key] = since, patient and was_patient
        else:
            self._wait(key, now, patient)

    def _wait(self, key: K, since: float, patient: bool) -> None:  # noqa: FBT001  # as it stands in `_again`
        """Into its lane. Once an event asks for it, it is no longer patient."""
        if not patient:
            self._dirty.setdefault(key, self._patient.pop(key, since))
        elif key not in self._dirty:
            self._patient.setdefault(key, since)
        self._filled.set()

    def _lane(self) -> dict[K, float]:
        """From where the next key comes."""
        if self._dirty and (not self._patient or self._ahead < AHEAD):
            self._ahead += bool(self._patient)
            return self._dirty
        self._ahead = 0
        return self._patient

    def _cancel_timer(self, key: K) -> None:
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
