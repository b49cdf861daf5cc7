"""The watchdog around a small application, with simulated time: ten seconds of threshold pass at once."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY

from unit.engine.fake import Client, Engine, Metric, serving, whole_body

if TYPE_CHECKING:
    from allod_exchange import Message, Receive, Send

pytestmark = pytest.mark.looptime(start=time.monotonic)  # goes on where the fixtures' real time ended
CHAT = "/v1/chat/completions"


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_server_is_not_ready_before_the_engines_first_step_however_long_that_takes() -> None:
    engine, began = Engine(), now()
    engine.step_seconds = 600
    async with serving(engine) as client:
        await asyncio.sleep(500)
        assert await client.fault() == "starting: the engine has not made its first step"
        assert (await client.ask("/allod/live")).status == 200
        assert await client.until_ready() - began == pytest.approx(600, abs=0.5)


async def test_the_first_self_request_needs_no_visitor(client: Client) -> None:
    assert client.engine.paths == ["/v1/completions"]
    assert (await client.ready()).json == {"ok": True, "fault": "", "inflight": 0, "sinceProgress": pytest.approx(0, abs=0.3), "steps": 1}


async def test_a_hang_under_a_request_is_known_within_half_a_second_of_the_threshold(client: Client, metric: Metric) -> None:
    client.engine.running.clear()
    stuck = asyncio.create_task(client.ask(CHAT, method="POST"))
    began = now()
    assert await client.until_not_ready() - began == pytest.approx(10, abs=0.5)
    answer = await client.ready()
    assert answer.json["fault"] == "hung: no engine step for 10 s while a request waits"
    assert answer.json["inflight"] == 1
    assert (metric.now("hung"), metric("hangs_total"), metric.now("inflight")) == (1, 1, 1)
    client.engine.running.set()
    recovered = now()
    assert await client.until_ready() - recovered < 0.5
    assert (await stuck).status == 200
    assert (metric.now("hung"), metric("hangs_total")) == (0, 1)


async def test_a_hang_of_an_idle_engine_is_found_by_a_self_request(client: Client, metric: Metric) -> None:
    client.engine.running.clear()
    began = now()
    assert 10 <= await client.until_not_ready() - began <= 20.5
    client.engine.running.set()
    await client.until_ready()
    assert metric("self_requests_total", "answered") >= 1


async def test_a_hung_engine_that_nobody_waits_for_any_more_is_asked_again_and_again_until_it_answers(
    client: Client, metric: Metric
) -> None:
    client.engine.running.clear()
    await client.until_not_ready()
    await asyncio.sleep(100)
    assert (await client.ready()).status == 503
    assert metric("self_requests_total", "lost") >= 5
    client.engine.running.set()
    began = now()
    assert await client.until_ready() - began < 0.5


async def test_liveness_fails_two_thresholds_after_readiness(client: Client) -> None:
    client.engine.running.clear()
    began = await client.until_not_ready()
    assert await client.until("/allod/live", 503) - began == pytest.approx(20, abs=0.5)
    client.engine.running.set()
    await client.until_ready()
    assert (await client.ask("/allod/live")).status == 200


async def test_an_idle_engine_stays_ready_for_one_token_in_each_threshold(client: Client) -> None:
    await watch_ready(client, 100)
    assert 9 <= len(client.engine.paths) <= 11


async def test_a_busy_engine_is_not_asked(client: Client) -> None:
    async def long(engine: Engine, _scope: Message, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        for _ in range(100):
            await engine.step()
        await engine.complete({}, receive_nothing, send)

    client.engine.step_seconds = 1
    client.engine.handlers[CHAT] = long
    await client.ask(CHAT, method="POST")
    assert client.engine.paths == ["/v1/completions", CHAT]


async def test_a_long_chunked_prefill_is_no_hang(client: Client) -> None:
    async def prefill(engine: Engine, scope: Message, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        for _ in range(30):
            await engine.prefill()
        await engine.complete(scope, receive_nothing, send)

    client.engine.step_seconds = 2
    client.engine.handlers[CHAT] = prefill
    long = asyncio.create_task(client.ask(CHAT, method="POST"))
    # The self-request waits behind the prefill, as in vLLM: the running request has the whole token budget.
    client.engine.handlers["/v1/completions"] = prefill
    await watch_ready(client, 55)
    assert (await long).status == 200


async def test_a_request_that_waits_for_something_else_is_no_hang(client: Client) -> None:
    async def tool(_engine: Engine, scope: Message, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        await asyncio.sleep(100)
        await _engine.complete(scope, receive_nothing, send)

    client.engine.handlers["/v1/responses"] = tool
    slow = asyncio.create_task(client.ask("/v1/responses", method="POST"))
    await watch_ready(client, 99)
    assert (await slow).status == 200


async def test_neither_a_slow_upload_nor_a_slow_reader_looks_like_a_hang(client: Client) -> None:
    client.engine.self_status = 503  # a full queue: self-requests are no evidence, so that only the counting of waits is tried
    upload: list[Message] = [{"type": "http.request", "body": b"x", "more_body": True, "after": 40}, {"type": "http.request", "after": 40}]
    uploads = asyncio.create_task(client.ask(CHAT, method="POST", sends=upload))
    reads = asyncio.create_task(client.ask(CHAT, method="POST", slow=40))
    await watch_ready(client, 79)
    await asyncio.gather(uploads, reads)


async def test_an_observer_that_was_frozen_itself_raises_no_alarm(client: Client) -> None:
    client.engine.running.clear()
    stuck = asyncio.create_task(client.ask(CHAT, method="POST"))
    await asyncio.sleep(1)
    before = client.watchdog.engine.watched
    client.watchdog.engine.look(now() + 3600, client.watchdog.engine.seen)
    assert client.watchdog.engine.watched - before <= 1
    assert (await client.ready()).status == 200
    client.engine.running.set()
    await stuck


async def test_a_full_queue_says_nothing_about_the_engine(client: Client, metric: Metric) -> None:
    client.engine.self_status = 503
    await asyncio.sleep(11)
    assert metric("self_requests_total", "refused") == 1
    assert (await client.ready()).json["fault"] == ""


async def test_an_engine_that_answers_one_token_with_an_error_is_not_ready_and_is_killed_when_it_goes_on(
    client: Client, metric: Metric
) -> None:
    client.engine.self_status = 500
    client.engine.handlers["/v1/completions"] = without_a_step
    await asyncio.sleep(20)
    assert await client.fault() == "failed: a request for one token got status 500"
    assert (await client.ask("/allod/live")).status == 200
    assert metric("self_requests_total", "failed") == 4
    await asyncio.sleep(11)
    assert (await client.ask("/allod/live")).status == 503
    client.engine.self_status = 200
    await asyncio.sleep(11)
    assert (await client.ready()).status == 200


async def test_an_engine_that_fails_its_clients_is_asked_at_once_and_is_not_ready_within_two_seconds(
    client: Client, metric: Metric
) -> None:
    client.engine.self_status = 500
    client.engine.handlers[CHAT] = client.engine.handlers["/v1/completions"] = without_a_step
    began = now()
    assert (await client.ask(CHAT, method="POST")).status == 500
    assert await client.until_not_ready() - began < 2
    assert await client.fault() == "failed: a request for one token got status 500"
    assert metric("self_requests_total", "failed") == 3
    await asyncio.sleep(30)
    assert metric("self_requests_total", "failed") <= 6, "who is known to fail is asked as seldom as who is idle"


async def test_a_server_that_raises_under_a_client_is_asked_at_once(client: Client) -> None:
    async def raises(_engine: Engine, _scope: Message, _receive: Receive, _send: Send) -> None:
        raise ConnectionResetError("the engine is gone")

    client.engine.handlers[CHAT] = client.engine.handlers["/v1/completions"] = raises
    began = now()
    with pytest.raises(ConnectionResetError):
        await client.ask(CHAT, method="POST")
    assert await client.until_not_ready() - began < 2


async def test_an_engine_that_fails_a_client_and_twice_a_question_but_not_the_next_one_stays_ready(client: Client, metric: Metric) -> None:
    async def unlucky(engine: Engine, scope: Message, receive: Receive, send: Send) -> None:
        lucky = metric("self_requests_total", "failed") >= 2
        engine.self_status = 200 if lucky else 500
        await (Engine.complete if lucky else without_a_step)(engine, scope, receive, send)

    client.engine.self_status = 500
    client.engine.handlers |= {CHAT: without_a_step, "/v1/completions": unlucky}
    assert (await client.ask(CHAT, method="POST")).status == 500
    await watch_ready(client, 5)
    assert [metric("self_requests_total", result) for result in ("failed", "answered")] == [2, 1]


async def test_a_full_queue_raises_no_doubt(client: Client, metric: Metric) -> None:
    client.engine.self_status = 503
    client.engine.handlers[CHAT] = without_a_step
    assert (await client.ask(CHAT, method="POST")).status == 503
    await asyncio.sleep(5)
    assert metric("self_requests_total", "refused") == 0


async def test_an_engine_that_dies_under_the_self_request_is_not_ready(client: Client) -> None:
    async def dies(_engine: Engine, _scope: Message, _receive: Receive, _send: Send) -> None:
        raise ConnectionResetError("the engine is gone")

    client.engine.handlers["/v1/completions"] = dies
    await asyncio.sleep(11)
    assert await client.fault() == "failed: a request for one token got status 500"


async def test_a_self_request_that_is_refused_as_wrong_lets_users_prove_the_engine_and_says_so() -> None:
    engine = Engine()
    engine.self_status = 404
    engine.handlers["/v1/completions"] = without_a_step
    async with serving(engine) as client:
        await asyncio.sleep(1)
        answer = await client.ready()
        assert answer.status == 200
        assert (
            answer.json["fault"] == "watchdog: its self-request is refused, so an idle hang is not seen; check ALLOD_MODEL and ALLOD_TASK"
        )
        await asyncio.create_task(client.ask(CHAT, method="POST"))
        engine.running.clear()
        stuck = asyncio.create_task(client.ask(CHAT, method="POST"))
        began = now()
        assert await client.until_not_ready() - began == pytest.approx(10, abs=0.5)
        stuck.cancel()


@pytest.mark.parametrize("counters", [True, False])
async def test_with_or_without_counters_a_long_answer_is_no_hang_and_a_hang_is_one(counters: bool) -> None:  # noqa: FBT001 - a table's column
    async def stream(engine: Engine, _scope: Message, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream; charset=utf-8")]})
        for _ in range(40):
            await engine.step()
            await send({"type": "http.response.body", "body": b"data: x\n\n", "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    engine = Engine(counters=counters)
    async with serving(engine) as client:
        await client.until_ready()
        engine.step_seconds = 2
        engine.handlers[CHAT] = stream
        streaming = asyncio.create_task(client.ask(CHAT, method="POST"))
        await watch_ready(client, 60)
        assert (await client.ready()).json["steps"] is None or counters
        engine.running.clear()
        began = now()
        assert 8 <= await client.until_not_ready() - began <= 12.5
        engine.running.set()
        assert (await streaming).status == 200


async def test_counters_that_cannot_be_read_leave_the_verdict_to_self_requests(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_names: object) -> object:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(REGISTRY, "restricted_registry", broken)
    await watch_ready(client, 60)
    fault = "watchdog: the engine's counters cannot be read: RuntimeError('no such thing')"
    assert (await client.ready()).json["fault"] == fault
    client.engine.running.clear()
    assert await client.until_not_ready() > 0
    client.engine.running.set()
    monkeypatch.undo()
    await client.until_ready()
    assert await client.fault() == ""


async def test_a_fault_of_the_watchdog_stops_no_request_and_changes_no_verdict(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr(client.watchdog, "ask_if_silent", broken)
    await asyncio.sleep(1)
    answer = await client.ready()
    assert (answer.status, answer.json["fault"]) == (200, "watchdog: ZeroDivisionError('a mistake of ours')")
    assert (await client.ask(CHAT, method="POST")).status == 200


@pytest.mark.parametrize(
    ("task", "path", "body"),
    [
        ("Generate", "/v1/completions", {"model": "chat", "prompt": "1", "max_tokens": 1, "temperature": 0}),
        ("Embed", "/v1/embeddings", {"model": "chat", "input": "1"}),
        ("Rerank", "/v1/rerank", {"model": "chat", "query": "1", "documents": ["1"]}),
    ],
)
async def test_each_task_has_its_smallest_request(task: str, path: str, body: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOD_TASK", task)
    monkeypatch.setenv("VLLM_API_KEY", "secret")
    asked: list[bytes] = []

    async def note(engine: Engine, scope: Message, receive: Receive, send: Send) -> None:
        asked.append(await whole_body(receive))
        await engine.complete(scope, receive_nothing, send)

    engine = Engine()
    engine.handlers[path] = note
    async with serving(engine) as client:
        await client.until_ready()
    assert engine.paths == [path]
    assert json.loads(asked[0]) == body
    assert engine.headers[0][b"authorization"] == b"Bearer secret"


async def watch_ready(client: Client, seconds: float) -> None:
    """Asserts at each tenth of a second that the server is ready."""
    end = now() + seconds
    while now() < end:
        answer = await client.ready()
        assert answer.status == 200, answer.json
        await asyncio.sleep(0.1)


async def without_a_step(engine: Engine, _scope: Message, receive: Receive, send: Send) -> None:
    await whole_body(receive)
    await engine.complete({}, receive_nothing, send)


async def receive_nothing() -> Message:
    return {"type": "http.request"}
