"""A server that behaves as each test needs it, on a real socket, and one ear that listens to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from allod.adapters.heartbeat import Heartbeat, Observer, Target
from allod.adapters.verdicts import PUSHED
from allod.domain.serving.health.listening import TICK

if TYPE_CHECKING:
    from allod.adapters.verdicts import Page
    from allod.domain.serving.health.beat import Beat, State

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
BEAT = 0.1
"""Seconds between the beats of a peer that is well; the watchdog's are 0.5."""


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def line(*, ok: bool = True, fault: str = "", inflight: int = 0) -> bytes:
    return chunk(json.dumps({"ok": ok, "fault": fault, "inflight": inflight, "sinceProgress": 0.1, "steps": 7}).encode() + b"\n")


def page(status: int, body: bytes = b'{"status":"ok"}', *headers: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n%b\r\n%b" % (status, len(body), b"".join(each + b"\r\n" for each in headers), body)


async def well(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Beats until the client goes."""
    writer.write(HEAD)
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(line())
            await writer.drain()
            await asyncio.sleep(BEAT)


def sends(*pieces: bytes | float, then: str = "stay") -> Conversation:
    """Pieces, and pauses in seconds; then `stay` silent, `close`, or `reset`."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            if isinstance(piece, bytes):
                writer.write(piece)
            else:
                await asyncio.sleep(piece)
        if then == "stay":
            await reader.read()
        elif then == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return conversation


def answers(*pages: bytes) -> Conversation:
    """One page for each request, then the end of the connection."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, each in enumerate(pages):
            if number:
                await reader.readuntil(b"\r\n\r\n")
            writer.write(each)

    return conversation


class Peer:
    """Its connections follow one conversation after the other; the last one again and again."""

    def __init__(self, *conversations: Conversation, host: str = "127.0.0.1", port: int = 0) -> None:
        self.conversations = list(conversations)
        self.host, self.port = host, port
        self.requests: list[bytes] = []
        self._talking: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def die(self) -> None:
        """As a process dies: the port and every connection close."""
        if self._server is not None:
            self._server.close()
        for each in tuple(self._talking):
            each.cancel()
        await asyncio.gather(*self._talking, return_exceptions=True)

    @property
    def talking(self) -> int:
        """Connections that are open."""
        return len(self._talking)

    async def until_talking(self, count: int) -> None:
        """Until so many connections are open. A peer notices the end of one when it says something next."""
        async with asyncio.timeout(10):
            while self.talking != count:  # noqa: ASYNC110  # tasks end one by one, and tell nobody how many are left
                await asyncio.sleep(0.05)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._talk(reader, writer))
        self._talking.add(task)
        task.add_done_callback(self._talking.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = self.conversations.pop(0) if len(self.conversations) > 1 else self.conversations[0]
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                await conversation(reader, writer)
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def peer(*conversations: Conversation, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Peer]:
    made = Peer(*conversations, host=host, port=port)
    await made.start()
    try:
        yield made
    finally:
        await made.die()


class Ear:
    """One heartbeat, its observer's ticks, and what it said, in order."""

    def __init__(self, address: str, port: int, page: Page = PUSHED, *, proven: bool = False) -> None:
        self.observer = Observer()
        self.heartbeat = Heartbeat(Target(address, port, page), self.observer, self._changed, proven=proven)
        self.said: list[Beat] = []
        self._news = asyncio.Event()

    def _changed(self) -> None:
        self.said.append(self.heartbeat.beat)
        self._news.set()

    @property
    def states(self) -> list[State]:
        return [each.state for each in self.said]

    async def until(self, state: State, within: float = 10) -> float:
        """Seconds until it is in this state."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(within):
            while self.heartbeat.beat.state != state:
                self._news.clear()
                await self._news.wait()
        return loop.time() - began

    async def tick(self) -> None:
        while True:
            self.observer.attention.look(asyncio.get_running_loop().time())
            if self.heartbeat.due <= self.observer.attention.now:
                self.heartbeat.act()
            await asyncio.sleep(TICK)


@contextlib.asynccontextmanager
async def ear(address: str, port: int, page: Page = PUSHED, *, proven: bool = False) -> AsyncIterator[Ear]:
    made = Ear(address, port, page, proven=proven)
    ticking = asyncio.create_task(made.tick())
    made.heartbeat.look()
    try:
        yield made
    finally:
        made.heartbeat.close()
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
