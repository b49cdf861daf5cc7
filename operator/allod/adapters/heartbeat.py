"""One kept connection to one pod, on which its heartbeats come.

It costs what a thousand of them may cost: no timer of its own (whoever keeps many asks each whether its `due` has come: measured 2 us per
beat, a timer that is set anew at each beat 10 us), and one buffer for all (a read into a new buffer of asyncio's size takes 24 us, into
this one 10 us).
"""

from __future__ import annotations

import asyncio
import errno
import math
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from allod.adapters.answers import Answers, Foreign
from allod.adapters.keeper import adapters_part, adapters_said
from allod.domain.serving.health.beat import Beat
from allod.domain.serving.health.listening import CONNECT, Attention, Listening

if TYPE_CHECKING:
    from collections.abc import Callable

    from allod.adapters.verdicts import Page, Verdict

BUFFER: Final = 65536
"""Bytes that are read at once."""
JITTER: Final = 0.25
"""Part of a pause that is added by chance: pods that failed together do not come back together."""
NO_WAY: Final = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ETIMEDOUT})
"""What the network says of an address. Every other error of a connection is our own: no descriptor, no memory, no permission."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is listened to."""

    address: str
    """IPv4 or IPv6."""
    port: int
    page: Page


@dataclass(slots=True)
class Observer:
    """What all connections share."""

    attention: Attention = field(default_factory=Attention)
    beats: int = 0
    """Verdicts heard and not yet counted."""
    heard_at: float = -math.inf
    """Of the last verdict of any pod, in watched seconds."""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    chance: Callable[[], float] = random.random
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(BUFFER)))
    """One for all: what a connection reads is used up before the next one reads."""

    def take_beats(self) -> int:
        """Verdicts heard since the last call."""
        taken, self.beats = self.beats, 0
        return taken


class Connection(asyncio.BufferedProtocol):
    """One attempt at a TCP connection and what comes of it, until it is dropped."""

    __slots__ = ("_buffer", "_heartbeat", "_transport")

    def __init__(self, heartbeat: Heartbeat, buffer: memoryview) -> None:
        self._heartbeat: Heartbeat | None = heartbeat
        self._buffer = buffer
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless it was dropped meanwhile."""
        self._transport = transport  # type: ignore[assignment]  # of a stream: asyncio's signature is for datagrams too
        if self._heartbeat is not None:
            self._heartbeat.connected()
        else:
            transport.abort()  # type: ignore[attr-defined]  # the same

    def get_buffer(self, _sizehint: int) -> memoryview:
        """The one for all."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        if self._heartbeat is not None:
            self._heartbeat.received(bytes(self._buffer[:nbytes]))

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended without us."""
        if self._heartbeat is not None:
            self._heartbeat.lost(exc)

    def send(self, data: bytes) -> None:
        """Write."""
        if self._transport is not None:
            self._transport.write(data)

    def drop(self) -> None:
        """End it; nothing is heard of it any more."""
        self._heartbeat = None
        if self._transport is not None:
            self._transport.abort()


class Heartbeat:
    """What one pod says, in one life of its engine. `look()` begins; then call `act()` whenever `due` (watched seconds) has come."""

    __slots__ = (
        "_adapters",
        "_answers",
        "_ask_at",
        "_changed",
        "_connecting",
        "_connection",
        "_listening",
        "_observer",
        "beat",
        "due",
        "target",
    )

    def __init__(self, target: Target, observer: Observer, changed: Callable[[], None], *, proven: bool = False) -> None:
        """`changed()` is called when `beat` has become another one. `proven`: kubelet has seen it serve in this life."""
        self.target, self._observer, self._changed = target, observer, changed
        self._listening = Listening(proven)
        self._connecting: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._answers = Answers()
        self._adapters = b""
        self._ask_at = self.due = math.inf
        self.beat = Beat(self._listening.state, observer.clock(), self._listening.message, heard=False)

    def look(self) -> None:
        """Connect now."""
        self.due = self._observer.attention.now + CONNECT
        self._connection = Connection(self, self._observer.buffer)
        self._connecting = asyncio.get_running_loop().create_task(self._connect(self._connection))

    def act(self) -> None:
        """What `due` was set for: connect, give up a connection, or ask again."""
        now = self._observer.attention.now
        if self._connecting is not None:
            self._part()
            self._after(self._listening.unanswered())
        elif self._connection is None:
            self.look()
        elif now >= self._listening.deadline():
            self._part()
            self._after(self._listening.silent(now))
        elif now >= self._ask_at:
            self._ask()
        else:
            self.due = min(self._listening.deadline(), self._ask_at)

    def hurry(self, *, proven: bool) -> None:
        """Something happened to the pod: if it is not listened to now, look at once. `proven`: kubelet has seen it serve in this life."""
        self._listening.proven = self._listening.proven or proven
        if self._connecting is None and self._connection is None:
            self.look()

    def close(self) -> None:
        """End it."""
        self._part()
        self.due = math.inf

    async def _connect(self, connection: Connection) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: connection, self.target.address, self.target.port)
        except OSError as problem:
            self._connecting = self._connection = None
            self._after(self._failed(problem))

    def _failed(self, problem: OSError) -> float:
        if isinstance(problem, ConnectionRefusedError):
            return self._listening.refused()
        if isinstance(problem, ConnectionError):
            return self._listening.closed("reset")
        if problem.errno in NO_WAY:
            return self._listening.rejected(str(problem.strerror or problem).lower())
        return self._listening.unable(str(problem))

    def connected(self) -> None:
        """There is a connection: ask."""
        self._connecting, self._answers = None, Answers()
        self._listening.connected(self._observer.attention.now)
        self._ask()

    def _ask(self) -> None:
        if self._connection is not None:
            self._connection.send(_request(self.target))
        self._ask_at = self._observer.attention.now + self.target.page.every
        self.due = self._listening.deadline()

    def received(self, data: bytes) -> None:
        """Bytes came."""
        try:
            self._take(self._answers.feed(data))
        except Foreign as problem:
            self._foreign(problem)

    def _take(self, found: list[bytes]) -> None:
        """Pieces that are complete, and the end of the answer if it has come. Foreign when they are not ours."""
        answers, page = self._answers, self.target.page
        if answers.status and answers.status not in page.statuses:
            raise Foreign(f"status {answers.status}")
        for piece in found:
            self._hear(page.says(answers.status, piece))
            if (said := adapters_part(piece)) != self._adapters:
                self._hear_adapters(said)
        if answers.over and page.every == math.inf:
            self._part()
            self._after(self._listening.closed("ended"))
        elif answers.over and answers.closes:
            self._part()
            self._listening.parted()
            self.due = self._ask_at

    def _hear(self, verdict: Verdict) -> None:
        observer, listening = self._observer, self._listening
        observer.beats += 1
        observer.heard_at = observer.attention.now
        if listening.heard(observer.attention.now, *verdict):
            self._tell()
        self.due = min(listening.deadline(), self._ask_at)

    def _hear_adapters(self, said: bytes) -> None:
        self._adapters = said
        self.beat = replace(self.beat, adapters=adapters_said(said))
        self._changed()

    def lost(self, problem: Exception | None) -> None:
        """The connection ended without us."""
        self._connection = None
        found = self._answers.end() if problem is None else []
        if not found:
            self._after(self._broken(problem))
            return
        try:
            self._take(found)
        except Foreign as foreign:
            self._foreign(foreign)

    def _broken(self, problem: Exception | None) -> float:
        if problem is None or isinstance(problem, OSError):
            return self._listening.closed("closed" if problem is None else "reset")
        # asyncio ends a connection whose protocol raised: a bug of ours is no evidence against a pod.
        return self._listening.unable(f"{type(problem).__name__}: {problem}")

    def _foreign(self, what: Foreign) -> None:
        self._part()
        self._after(self._listening.foreign(f"GET {self.target.page.path}: {what}"))

    def _part(self) -> None:
        """Whatever there is of a connection ends."""
        connecting, connection = self._connecting, self._connection
        self._connecting = self._connection = None
        if connecting is not None:
            connecting.cancel()
        if connection is not None:
            connection.drop()

    def _after(self, seconds: float) -> None:
        """Look again after a pause, or at once."""
        if seconds:
            self.due = self._observer.attention.now + seconds * (1 + JITTER * self._observer.chance())
        else:
            self.look()
        self._tell()

    def _tell(self) -> None:
        now, told = self._listening, self.beat
        if (now.state, now.message) != (told.state, told.message):
            since = told.since if now.state == told.state else self._observer.clock()
            self.beat = replace(told, state=now.state, since=since, message=now.message, heard=now.heard_at > -math.inf)
            self._changed()


def _request(target: Target) -> bytes:
    host = f"[{target.address}]" if ":" in target.address else target.address
    return f"GET {target.page.path} HTTP/1.1\r\nhost: {host}:{target.port}\r\nuser-agent: allod\r\n\r\n".encode()
