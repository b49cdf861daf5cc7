"""Real vLLM that misbehaves when it is told to: the text of a module that Python imports at its start, from PYTHONUSERBASE.

It stands around vLLM's own routes: what it does happens inside everything that counts requests, and inside the watchdog, as a fault of the
engine would. What it does is read at each request, from a file in the pod, else from a variable of its revision.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from starlette.routing import Router  # type: ignore[import-not-found]  # in vLLM's image

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

FILE = Path(os.environ.get("FAULT_FILE", "/none"))
JSON, STREAM = (b"content-type", b"application/json"), (b"content-type", b"text/event-stream; charset=utf-8")
ERROR = b'{"error": {"message": "out of luck", "type": "InternalServerError", "param": null, "code": 500}}'
NUMBERS, STREAMS = itertools.count(1), itertools.count(1)


async def whole(receive: Receive) -> bytes:
    """The request, read as vLLM does."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def fails(_app: App, _scope: Message, receive: Receive, send: Send) -> None:
    """500 to everybody."""
    await whole(receive)
    await send({"type": "http.response.start", "status": 500, "headers": [JSON]})
    await send({"type": "http.response.body", "body": ERROR})


async def fails_every_third(app: App, scope: Message, receive: Receive, send: Send) -> None:
    """500 to one of three."""
    await (app(scope, receive, send) if next(NUMBERS) % 3 else fails(app, scope, receive, send))


async def hangs(_app: App, _scope: Message, receive: Receive, send: Send) -> None:
    """No word, or in a stream none after the first; and no step of the engine."""
    if b'"stream": true' in await whole(receive):
        await send({"type": "http.response.start", "status": 200, "headers": [STREAM]})
        await send({"type": "http.response.body", "body": b'data: {"choices": [{"index": 0, "text": "1"}]}\n\n', "more_body": True})
    while (await receive())["type"] != "http.disconnect":  # as vLLM itself looks whether somebody still waits
        pass


async def breaks(app: App, scope: Message, receive: Receive, send: Send) -> None:
    """An error event in each stream: in turns as its first one, and after the first token. Other answers are as they were."""
    stream, over = 0, False

    async def spoilt(message: Message) -> None:
        nonlocal stream, over
        if STREAM in message.get("headers", ()):
            stream = next(STREAMS)
        event = stream and message["type"] == "http.response.body"
        if not event or (stream % 2 and not over):
            await send(message)
        if event and not over:
            over = True
            await send({"type": "http.response.body", "body": b"data: " + ERROR + b"\n\ndata: [DONE]\n\n", "more_body": False})

    await app(scope, receive, spoilt)


FAULTS = {"fails": fails, "fails every third": fails_every_third, "hangs": hangs, "breaks": breaks}
ROUTES = Router.app


def told() -> str:
    """Which fault there is to be."""
    try:
        return FILE.read_text().strip()
    except OSError:
        return os.environ.get("FAULT", "")


async def app(self: Router, scope: Message, receive: Receive, send: Send) -> None:
    """In place of all routes."""
    inner: App = functools.partial(ROUTES, self)
    work = scope["type"] == "http" and scope["method"] == "POST" and scope["path"].startswith("/v1/")
    fault = FAULTS.get(told()) if work else None
    await (fault(inner, scope, receive, send) if fault else inner(scope, receive, send))


Router.app = app
