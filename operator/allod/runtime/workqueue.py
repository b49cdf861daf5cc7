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
    """

    def __init__(self, backoff: Backoff, on_wait: Callable[[float], None] = lambda _: None) -> None:
        """`on_wait(seconds)` is told how long each key waited for a worker."""
        self._backoff = backoff
        self._on_wait = on_wait
        self._dirty: dict[K, float] = {}
        """When each was added, in order: a dict is a set that remembers the order."""
        self._busy: set[K] = set()
        self._again: dict[K, float] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        """How many wait now, the delayed ones not counted."""
        return len(self._dirty) + len(self._again)

    def add(self, key: K) -> None:
        """Work on the key as soon as a worker is free."""
        self._cancel_timer(key)
        now = asyncio.get_running_loop().time()
        if key in self._busy:
            self._again.setdefault(key, now)
        else:
            self._dirty.setdefault(key, now)
            self._filled.set()

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
        while not self._dirty:
            self._filled.clear()
            await self._filled.wait()
        key = next(iter(self._dirty))
        added = self._dirty.pop(key)
        self._busy.add(key)
        self._on_wait(asyncio.get_running_loop().time() - added)
        try:
            yield key
        finally:
            self._busy.discard(key)
            if (added_again := self._again.pop(key, None)) is not None:
                self._dirty.setdefault(key, added_again)
                self._filled.set()

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

    def _cancel_timer(self, key: K) -> None:
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
