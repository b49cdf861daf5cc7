"""The end of a server, the heartbeat on a kept connection, and settings."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from typing import Any

import pytest

from unit.engine.fake import Answer, Client, Engine, serving

CHAT = "/v1/chat/completions"


class Drain:
    """SIGTERM as vLLM takes it: by the event loop's own handler, installed before the application starts."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.told.set)

    async def begin(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await self.told.wait()


async def test_a_stopping_server_ends_what_is_in_flight_and_refuses_new_work_with_a_word() -> None:
    drain, engine = Drain(), Engine()
    async with serving(engine) as client:
        await client.until_ready()
        engine.running.clear()
        inflight = asyncio.create_task(client.ask(CHAT, method="POST"))
        await asyncio.sleep(0)
        await drain.begin()
        ready = await client.ready()
        assert (ready.status, ready.json["fault"]) == (503, "draining: the server was told to stop")
        assert (await client.ask("/allod/live")).status == 200
        refused = await client.ask(CHAT, method="POST")
        assert refused.status == 503
        assert refused.json["error"]["message"] == "This model server is stopping; please send the request again."
        assert (refused.headers[b"retry-after"], refused.headers[b"connection"]) == (b"1", b"close")
        assert (await client.ask("/metrics")).status == 200
        assert (await client.ask("/invocations", method="POST")).status == 403
        socket = await client.ask("/v1/realtime", kind="websocket", sends=[{"type": "websocket.connect"}])
        assert socket.messages[0]["type"] == "websocket.close"
        engine.running.set()
        assert (await inflight).status == 200


async def test_a_server_without_a_handler_for_sigterm_keeps_the_systems_own_way() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    async with serving(Engine()) as client:
        await client.until_ready()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.looptime(start=time.monotonic)
async def test_a_heartbeat_has_two_lines_a_second_and_one_at_once_when_the_verdict_changes(client: Client) -> None:
    got, gone = Answer(), asyncio.Event()
    listening = asyncio.create_task(client.ask("/allod/heartbeat", gone=gone, into=got))
    await asyncio.sleep(20)
    assert 39 <= len(lines(got)) <= 42
    assert all(line["ok"] and line["fault"] == "" for line in lines(got))
    client.engine.running.clear()
    stuck = asyncio.create_task(client.ask(CHAT, method="POST"))
    await asyncio.sleep(12)
    verdicts = [line["ok"] for line in lines(got)]
    assert verdicts == sorted(verdicts, reverse=True)
    assert not verdicts[-1]
    client.engine.running.set()
    await stuck
    await client.ready()  # a look, and so the changed verdict, between two beats
    changed = asyncio.get_running_loop().time()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (lines(got)[-1]["ok"], got.times[-1]) == (True, changed)
    gone.set()
    await listening


@pytest.mark.looptime(start=time.monotonic)
async def test_a_heartbeat_ends_when_its_client_goes(client: Client) -> None:
    gone = asyncio.Event()
    asyncio.get_running_loop().call_later(3, gone.set)
    await asyncio.wait_for(client.ask("/allod/heartbeat", gone=gone), 4)


async def test_the_last_line_of_a_heartbeat_says_that_the_server_stops() -> None:
    drain = Drain()
    async with serving(Engine()) as client:
        await client.until_ready()
        listening = asyncio.create_task(client.ask("/allod/heartbeat"))
        await asyncio.sleep(0)
        await drain.begin()
        answer = await listening
        assert answer.messages[-1]["more_body"] is False
        assert lines(answer)[-1]["fault"] == "draining: the server was told to stop"


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("ALLOD_HANG_SECONDS", "0", "ALLOD_HANG_SECONDS is '0': give seconds, 1 or more, such as 30."),
        ("ALLOD_HANG_SECONDS", "30s", "ALLOD_HANG_SECONDS is '30s': give seconds, 1 or more, such as 30."),
        ("ALLOD_HANG_SECONDS", "nan", "ALLOD_HANG_SECONDS is 'nan': give seconds, 1 or more, such as 30."),
        ("ALLOD_TASK", "generate", "ALLOD_TASK is 'generate': give one of Generate, Embed, Rerank."),
    ],
)
def test_a_wrong_setting_ends_the_start_with_a_sentence(variable: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=sentence):
        Client(Engine(counters=False))


def lines(answer: Answer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.body.splitlines()]
