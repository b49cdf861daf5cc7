"""The watchdog in real vLLM 0.32. The last test of each server ends it; one start takes half a minute or more."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from support.vllm import PATIENCE, Server, Stream, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

THRESHOLD = 5
CHAT = "/v1/chat/completions"
QUESTION = {"model": "smol", "messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0}
TOKENS = 100
STORY: dict[str, Any] = {
    "model": "smol",
    "prompt": "Once upon a time",
    "max_tokens": TOKENS,
    "ignore_eos": True,
    "stream": True,
    "stream_options": {"include_usage": True},
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """As the operator runs it, with small prefill chunks, so that a long prompt takes longer than the threshold."""
    flags = ("--shutdown-timeout", "60", "--max-num-seqs", "8", "--max-num-batched-tokens", "16", "--block-size", "32")
    with serving(*flags, ALLOD_HANG_SECONDS=str(THRESHOLD)) as server:
        yield server


@pytest.fixture(scope="module")
def blind() -> Iterator[Server]:
    """Without the engine's counters."""
    with serving("--disable-log-stats", ALLOD_HANG_SECONDS=str(THRESHOLD)) as server:
        yield server


def test_the_model_answers(server: Server) -> None:
    answer = server.ask(CHAT, QUESTION | {"max_tokens": 20})
    assert answer.json["choices"][0]["message"]["content"] == "The capital of France is Paris."
    ready = server.ask("/allod/ready").json
    assert (ready["ok"], ready["fault"], ready["inflight"]) == (True, "", 0)
    assert ready["steps"] >= 8


@pytest.mark.parametrize(
    "path",
    [
        "/invocations",
        "/generative_scoring",
        "/scale_elastic_ep",
        "/docs",
        "/openapi.json",
        "/inference/v1/generate",
        "/v1/load_lora_adapter",
        "/%69nvocations",
        "//invocations",
        "/v1/..%2finvocations",
        "/invocations%0A",
        "/v1/load_lora_adapter%0A",
        "http://127.0.0.1/invocations",
        "/V1/models",
    ],
)
def test_no_side_door_is_open(server: Server, path: str) -> None:
    assert server.ask(path).status == 403
    assert server.ask(path, QUESTION).status == 403


@pytest.mark.parametrize("path", ["/v1/models", "/health", "/ping", "/version", "/load", "/metrics", "/allod/live"])
def test_what_clients_and_operators_need_is_open(server: Server, path: str) -> None:
    assert server.ask(path).status == 200


def test_prometheus_sees_the_watchdog(server: Server) -> None:
    page = server.ask("/metrics").body.decode()
    assert "allod_watchdog_hung 0.0" in page
    assert 'allod_watchdog_self_requests_total{result="answered"}' in page


def test_a_hang_under_a_stream_takes_readiness_but_not_the_stream(server: Server) -> None:
    """vLLM's own /health says 200 all the while: the reason for all this."""
    with server.stream("/allod/heartbeat") as beat, server.stream("/v1/completions", STORY) as story:
        assert all(story.event() for _ in range(10))
        with server.hung():
            line = next(line for line in beat.lines() if not line["ok"])
            assert line["fault"] == f"hung: no engine step for {THRESHOLD} s while a request waits"
            assert THRESHOLD <= line["sinceProgress"] < THRESHOLD + 1
            assert server.ask("/allod/ready").status == 503
            assert server.ask("/allod/live").status == 200
            assert server.ask("/health").status == 200
            assert "allod_watchdog_hung 1.0" in server.ask("/metrics").body.decode()
        assert next(line for line in beat.lines() if line["ok"])["fault"] == ""
        assert server.ask("/allod/ready").status == 200
        assert whole(story)


def test_a_hang_of_an_idle_engine_is_found(server: Server) -> None:
    with server.hung():
        server.until("/allod/ready", 503)
        assert server.ask("/health").status == 200
    server.until("/allod/ready", 200)


def test_a_stream_sends_nothing_before_its_first_token(server: Server) -> None:
    body = b'{"model": "smol", "prompt": "1", "max_tokens": 2, "stream": true}'
    head = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", server.port), timeout=2) as connection:
        with server.hung():
            connection.sendall(head + body)
            with pytest.raises(TimeoutError):
                connection.recv(1)
        connection.settimeout(PATIENCE)
        received = b""
        while b"[DONE]" not in received:
            received += connection.recv(65536)
    assert received.startswith(b"HTTP/1.1 200 OK")


def test_a_prefill_that_takes_longer_than_the_threshold_is_no_hang(server: Server) -> None:
    """vLLM's counter of steps stands still all the while: it counts only steps that give a token."""
    began = time.monotonic()
    server.ask("/v1/completions", prompt(160))
    tokens = min(2000, int(160 * 2 * THRESHOLD / (time.monotonic() - began)))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        steps = server.ask("/allod/ready").json["steps"]
        answer = pool.submit(server.ask, "/v1/completions", prompt(tokens))
        while not answer.done():
            ready = server.ask("/allod/ready")
            assert ready.status == 200, ready.body
            time.sleep(0.1)
    assert answer.result().status == 200
    assert server.ask("/allod/ready").json["steps"] - steps <= 2


def test_a_client_that_goes_frees_the_engine(server: Server) -> None:
    with server.stream("/v1/completions", STORY | {"max_tokens": 1500}) as story:
        assert story.event()
        assert server.ask("/allod/ready").json["inflight"] == 1
    end = time.monotonic() + PATIENCE
    while server.ask("/allod/ready").json["inflight"] and time.monotonic() < end:
        time.sleep(0.1)
    assert server.ask("/allod/ready").json["inflight"] == 0


def test_a_server_told_to_stop_ends_its_streams_and_takes_no_new_work(server: Server) -> None:
    """The last test of this server."""
    with server.stream("/allod/heartbeat") as beat, server.stream("/v1/completions", STORY) as story:
        assert story.event()
        os.kill(server.process.pid, signal.SIGTERM)
        last = list(beat.lines())[-1]
        assert (last["ok"], last["fault"], last["inflight"]) == (False, "draining: the server was told to stop", 1)
        assert server.ask("/allod/ready").status == 503
        assert server.ask("/health").status == 200
        refused = server.ask(CHAT, QUESTION)
        assert (refused.status, refused.headers["retry-after"], refused.headers["connection"]) == (503, "1", "close")
        assert server.ask("/allod/ready").json["inflight"] == 1
        assert whole(story)
    assert server.process.wait(PATIENCE) == 0


def test_without_the_engines_counters_a_hang_is_still_found_and_work_is_still_none(blind: Server) -> None:
    ready = blind.ask("/allod/ready").json
    assert (ready["ok"], ready["steps"]) == (True, None)
    with blind.stream("/v1/completions", STORY) as story:
        assert story.event()
        with blind.hung():
            blind.until("/allod/ready", 503)
        blind.until("/allod/ready", 200)
        assert whole(story)


def test_a_stream_whose_engine_dies_before_the_first_token_gets_a_real_error(blind: Server) -> None:
    """The last test of this server: vLLM ends with its engine, so that the kubelet starts it anew."""
    worker = blind.worker
    with concurrent.futures.ThreadPoolExecutor(1) as pool, blind.hung():
        answer = pool.submit(blind.ask, CHAT, QUESTION | {"stream": True})
        blind.until("/allod/ready", 503)
        os.kill(worker, signal.SIGKILL)
        assert answer.result().status == 500
        assert answer.result().headers["content-type"] == "application/json"
    blind.process.wait(PATIENCE)


def whole(story: Stream) -> bool:
    """Whether every token of a story came. Not by counting events: vLLM joins what piles up while a client does not read."""
    *_, usage, done = story.events()
    return (json.loads(usage)["usage"]["completion_tokens"], done) == (TOKENS, "[DONE]")


def prompt(tokens: int) -> dict[str, Any]:
    """A request with this many tokens that are in no cache."""
    return {"model": "smol", "prompt": [100 + (tokens + number) % 3000 for number in range(tokens)], "max_tokens": 1}
