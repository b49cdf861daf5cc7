"""One request for the model and its answer, as the watchdog passes them on.

The headers of a stream wait for its first event: an error before it becomes a real 4xx or 5xx, which any proxy can retry. vLLM itself
begins such a stream with a 200.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import Counter

from allod_verdict import BUSY

if TYPE_CHECKING:
    from allod_verdict import Engine

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

FAILED: Final = 500
"""From here on an answer is the server's failure."""
HELD: Final = 65536
"""Bytes of a stream that are held at most while its first event is looked for."""
ERROR_EVENT: Final = (b'data: {"error"', b"event: error")
"""How vLLM begins an error in a stream; each event is a piece of its own."""
BROKEN = Counter("allod_watchdog_broken_streams_total", "Streams that the server gave an error event; it counts them as answered.")


def error_status(event: bytes) -> int | None:
    """The status that a stream deserves whose first event is this: None for an answer, else the error's own code or 500."""
    try:
        document = json.loads(event)
        error = document.get("error") or document.get("type") == "error"
    except (ValueError, AttributeError):
        return None
    code = re.fullmatch(r"[45]\d\d", str(error.get("code"))) if isinstance(error, dict) else None
    return (int(code[0]) if code else FAILED) if error else None


async def answer(send: Send, status: int, body: bytes, *extra: tuple[bytes, bytes]) -> None:
    """One whole JSON answer."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def refuse(scope: Message, send: Send, status: int, sentence: str, *extra: tuple[bytes, bytes]) -> None:
    """An error as OpenAI's clients read it; a web socket is closed before it opens."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": sentence})
        return
    body = {"error": {"message": sentence, "type": "Refused", "param": None, "code": status}}
    await answer(send, status, json.dumps(body).encode(), *extra)


class Exchange:
    """One request for the model and its answer: knows when it waits for the engine, and holds a stream until its first event."""

    def __init__(self, engine: Engine, receive: Receive, send: Send) -> None:
        self.engine, self.inner_receive, self.inner_send = engine, receive, send
        self.waits = self.streams = self.refused = False
        self.held: list[Message] = []

    def waiting(self, *, waits: bool) -> None:
        """Whether it is the engine that this request waits for."""
        self.engine.wait(waits - self.waits)
        self.waits = waits

    async def receive(self) -> Message:
        """A client that sends slowly says nothing about the engine: only a whole request waits for it."""
        message = await self.inner_receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            self.waiting(waits=True)
        return message

    async def send(self, message: Message) -> None:
        """Passes on what the application sends, the start of a stream together with its first event."""
        starts = dict(message.get("headers", ())).get(b"content-type", b"").startswith(b"text/event-stream")
        self.streams = self.streams or starts
        self.engine.events += self.streams
        if starts or self.held:
            self.held.append(message)
            await self.release(last=not starts and not message.get("more_body"))
        elif not self.refused:
            await self.forward(message)

    async def release(self, *, last: bool) -> None:
        """Sends what is held once the first event is known: as it came, or as the error that it is."""
        start, *pieces = self.held
        body = b"".join(piece.get("body", b"") for piece in pieces)
        lines = (line for line in body.splitlines(keepends=True) if line.startswith(b"data:") and line.endswith((b"\n", b"\r")))
        event = next((line[5:].strip() for line in lines), None)  # the data of the first whole `data:` line
        if event is None and not last and len(body) < HELD:
            return
        self.held, status = [], error_status(event or b"")
        self.refused = bool(event and status)
        if event and status:
            kept = (pair for pair in start["headers"] if pair[0] not in {b"content-type", b"content-length"})
            await answer(self.forward, status, event, *kept)
            return
        for message in (start, *pieces):
            await self.forward(message)

    async def forward(self, message: Message) -> None:
        """While a client is slow to read, the engine owes it nothing. What fails raises a doubt about the engine."""
        fails = FAILED <= message.get("status", 0) != BUSY or (self.streams and message.get("body", b"").startswith(ERROR_EVENT))
        BROKEN.inc(fails and self.streams)
        self.engine.doubts = max(self.engine.doubts, int(fails))
        waits = self.waits and (message["type"] != "http.response.body" or bool(message.get("more_body")))
        self.waiting(waits=False)
        await self.inner_send(message)
        self.waiting(waits=waits)
