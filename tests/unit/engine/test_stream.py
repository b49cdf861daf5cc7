"""What a client of a stream sees: nothing before the first event, then every byte as it came."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import pytest

from unit.engine.fake import DISCONNECT, Answer, Client, Engine, Handler, Metric, whole_body

if TYPE_CHECKING:
    from allod_exchange import Message, Receive, Send

pytestmark = pytest.mark.looptime(start=time.monotonic)
CHAT = "/v1/chat/completions"


def stream(*pieces: bytes, pause: float = 0, ends: bool = True) -> Handler:
    async def handler(_engine: Engine, _scope: Message, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-request-id", b"17")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for piece in pieces:
            await asyncio.sleep(pause)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if not ends:
            raise ConnectionResetError("the engine is gone")
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return handler


@pytest.mark.parametrize(
    "pieces",
    [
        (b'data: {"choices": [1]}\n\n', b'data: {"choices": [2]}\n\n', b"data: [DONE]\n\n"),
        (b": ping\n\n", b'data: {"choices": [1]}\n\n', b"data: [DONE]\n\n"),
        (b"event: message_start\nda", b'ta: {"type": "message_start"', b"}\n\n", b"data: x\n\n"),
        (b'event: message_start\r\ndata: {"type": "message_start"}\r\n\r\n',),
        (b'data: {"choices": [1], "error": null}\n\n',),
        (b"data: not json\n\n",),
        (b"data: [1, 2]\n\n",),
        (b"data: never ends",),
        (b"\xff\xfe binary \x00",),
        (b"x" * 40000, b"y" * 40000, b"z" * 40000),
        (),
    ],
    ids=[
        "chat",
        "comment first",
        "split anywhere",
        "carriage returns",
        "no error",
        "no json",
        "a list",
        "no end",
        "binary",
        "long",
        "empty",
    ],
)
async def test_a_stream_stays_as_it_was_byte_for_byte(client: Client, pieces: tuple[bytes, ...]) -> None:
    client.engine.handlers[CHAT] = stream(*pieces)
    answer = await client.ask(CHAT, method="POST")
    assert answer.status == 200
    assert answer.headers[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert answer.body == b"".join(pieces)
    assert [piece for piece in answer.pieces if piece] == list(pieces)


async def test_nothing_is_sent_before_the_first_event_and_nothing_is_held_after_it(client: Client) -> None:
    client.engine.handlers[CHAT] = stream(b": ping\n\n", b"data: 1\n\n", b"data: 2\n\n", pause=3)
    began, got = asyncio.get_running_loop().time(), Answer()
    await client.ask(CHAT, method="POST", into=got)
    assert [round(at - began) for at in got.times] == [6, 6, 6, 9, 9]


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (b'data: {"error": {"message": "no", "type": "InternalServerError", "param": null, "code": 500}}\n\n', 500),
        (b'data: {"error": {"message": "busy", "code": 503}}\n\n', 503),
        (b'data: {"error": {"message": "too long", "code": "400"}}\n\n', 400),
        (b'data: {"error": {"message": "no status", "code": "server_error"}}\n\n', 500),
        (b'data: {"error": {"message": "nonsense", "code": 200}}\n\n', 500),
        (b'data: {"error": "text"}\n\n', 500),
        (b'event: error\ndata: {"type": "error", "error": {"type": "api_error", "message": "no"}}\n\n', 500),
        (b'event: error\ndata: {"type": "error", "code": "server_error", "message": "no"}\n\n', 500),
    ],
)
async def test_an_error_before_the_first_token_becomes_a_real_one(client: Client, event: bytes, status: int) -> None:
    client.engine.handlers[CHAT] = stream(event, b"data: [DONE]\n\n")
    answer = await client.ask(CHAT, method="POST")
    assert answer.status == status
    assert answer.headers[b"content-type"] == b"application/json"
    assert answer.headers[b"x-request-id"] == b"17"
    assert int(answer.headers[b"content-length"]) == len(answer.body)
    assert answer.json == json.loads(event.split(b"data: ")[1])
    assert len(answer.messages) == 2


async def test_an_error_after_the_first_token_stays_in_the_stream(client: Client) -> None:
    pieces = (b'data: {"choices": [1]}\n\n', b'data: {"error": {"code": 500}}\n\n', b"data: [DONE]\n\n")
    client.engine.handlers[CHAT] = stream(*pieces)
    answer = await client.ask(CHAT, method="POST")
    assert (answer.status, answer.body) == (200, b"".join(pieces))


@pytest.mark.parametrize(
    ("pieces", "broken"),
    [
        ((b'data: {"choices": [1]}\n\n', b"data: [DONE]\n\n"), 0),
        ((b'data: {"error": {"code": 500}}\n\n', b"data: [DONE]\n\n"), 1),
        ((b'data: {"error": {"code": 400}}\n\n', b"data: [DONE]\n\n"), 0),
        ((b'data: {"choices": [1]}\n\n', b'data: {"error": {"code": 500}}\n\n', b"data: [DONE]\n\n"), 1),
        ((b'event: message_start\ndata: {"type": "message_start"}\n\n', b'event: error\ndata: {"type": "error"}\n\n'), 1),
        ((b'data: {"choices": [{"text": "data: {\\"error\\""}]}\n\n', b"data: [DONE]\n\n"), 0),
    ],
    ids=[
        "whole",
        "error first",
        "the client's mistake",
        "error later",
        "error later, in Anthropic's words",
        "a model that talks of errors",
    ],
)
async def test_a_stream_with_an_error_is_counted_once(client: Client, metric: Metric, pieces: tuple[bytes, ...], broken: int) -> None:
    """The server's own count says 2xx."""
    client.engine.handlers[CHAT] = stream(*pieces)
    await client.ask(CHAT, method="POST")
    assert metric("broken_streams_total") == broken


async def test_an_engine_that_dies_before_the_first_event_leaves_the_answer_to_the_server(client: Client) -> None:
    client.engine.handlers[CHAT] = stream(b": ping\n\n", ends=False)
    got = Answer()
    with pytest.raises(ConnectionResetError):
        await client.ask(CHAT, method="POST", into=got)
    assert got.messages == []
    assert (await client.ready()).json["inflight"] == 0


@pytest.mark.parametrize("content_type", [b"application/json", b"text/plain", b"audio/wav"])
async def test_what_is_no_stream_passes_untouched(client: Client, content_type: bytes) -> None:
    async def plain(_engine: Engine, _scope: Message, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        await send({"type": "http.response.start", "status": 418, "headers": [(b"content-type", content_type)]})
        await asyncio.sleep(5)
        await send({"type": "http.response.body", "body": b'data: {"error": {"code": 500}}\n\n', "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})

    client.engine.handlers[CHAT] = plain
    began, got = asyncio.get_running_loop().time(), Answer()
    await client.ask(CHAT, method="POST", into=got)
    assert (got.status, got.body) == (418, b'data: {"error": {"code": 500}}\n\nend')
    assert [round(at - began) for at in got.times] == [0, 5, 5]


async def test_a_client_that_goes_while_its_stream_is_held_is_seen_by_the_application(client: Client) -> None:
    seen: list[Message] = []

    async def held(_engine: Engine, _scope: Message, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        seen.append(await receive())

    client.engine.handlers[CHAT] = held
    gone = asyncio.Event()
    asyncio.get_running_loop().call_later(2, gone.set)
    answer = await client.ask(CHAT, method="POST", gone=gone)
    assert seen == [DISCONNECT]
    assert answer.messages == []
    assert (await client.ready()).json["inflight"] == 0
