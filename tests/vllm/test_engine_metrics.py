"""What real vLLM 0.32 counts, and what we make of it: who failed, who was turned away, who only looked."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from allod.adapters.engine import reading
from allod.domain.serving.health.windows import Track, Window, window
from support.promtool import asked_for, on_page
from support.rules import rule_of
from support.vllm import PATIENCE, Server, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allod.api.slo import Metric
    from allod.domain.serving.engine.metrics import Counter
    from allod.domain.serving.health.windows import Reading

THRESHOLD = 5
"""Seconds of silence after which the watchdog asks for a token itself."""
METRICS: tuple[Metric, ...] = ("TTFTSeconds", "InterTokenSeconds", "EndToEndSeconds")
CHAT = {"model": "smol", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4, "ignore_eos": True}
STORY: dict[str, Any] = {"model": "smol", "prompt": "Once upon a time", "max_tokens": 100, "ignore_eos": True}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One answer at a time and two in the queue, so that it is soon full."""
    flags = ("--shutdown-timeout", "60", "--max-num-seqs", "1", "--max-num-queued-reqs", "2")
    with serving(*flags, ALLOD_HANG_SECONDS=str(THRESHOLD)) as server:
        yield server


def read(server: Server) -> Reading:
    return reading(server.ask("/metrics").body, METRICS)


class Look:
    """What was counted between two looks at the page."""

    def __init__(self, server: Server) -> None:
        self.server, self.before = server, read(server)

    @property
    def window(self) -> Window:
        track = Track().heard(0, self.before, 60).heard(10, read(self.server), 60)
        return window([track], 30, 10)

    def number(self, name: Counter) -> float:
        return read(self.server).counts.numbers[name] - self.before.counts.numbers[name]


def test_everything_that_alerts_read_is_on_the_page(server: Server) -> None:
    """But for what the operator's own page has."""
    asked = asked_for(rule_of())
    assert len(asked) > 10
    assert asked - on_page(server.ask("/metrics").body.decode()) == {"allod_condition"}


def test_answers_count_as_requests_whether_they_are_streamed_or_not(server: Server) -> None:
    look = Look(server)
    for _ in range(3):
        assert server.ask("/v1/chat/completions", CHAT).status == 200
    with server.stream("/v1/completions", STORY | {"stream": True, "max_tokens": 20}) as story:
        assert len([*story.events()]) >= 20
    found = look.window
    assert (found.requests, found.errors) == (4, 0)
    own = look.number("own_answered")
    assert 4 <= found.times["TTFTSeconds"].total <= 4 + own
    assert 4 <= found.times["EndToEndSeconds"].total <= 4 + own
    assert found.times["InterTokenSeconds"].total == 3 * 3 + 19
    assert 0 < (found.times["EndToEndSeconds"].quantile(0.5) or 0) < 60


def test_mistakes_of_clients_and_questions_for_no_model_do_not_count(server: Server) -> None:
    look = Look(server)
    assert server.ask("/v1/chat/completions", CHAT | {"model": "other"}).status == 404
    assert server.ask("/v1/chat/completions", CHAT | {"max_tokens": -1}).status == 400
    assert server.ask("/v1/completions", STORY | {"prompt": "x " * 4000}).status == 400
    assert server.ask("/v1/models").status == 200
    assert server.ask("/tokenize", {"model": "smol", "prompt": "x"}).status == 200
    assert server.ask("/invocations", CHAT).status == 403
    assert (look.window.requests, look.window.errors) == (0, 0)


def test_a_full_queue_is_no_failure(server: Server) -> None:
    look = Look(server)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(lambda _: server.ask("/v1/completions", STORY).status, range(8))]
    turned_away = answers.count(503)
    assert turned_away
    assert answers.count(200) + turned_away == 8
    assert (look.number("failed"), look.number("refused")) == (turned_away, turned_away)
    assert (look.window.requests, look.window.errors) == (8 - turned_away, 0)


def test_self_requests_of_the_watchdog_do_not_count(server: Server) -> None:
    look = Look(server)
    time.sleep(3 * THRESHOLD)
    assert look.number("own_answered") >= 2
    assert look.number("answered") == look.number("own_answered")
    assert look.window.requests == 0


@pytest.mark.parametrize("stream", [False, True], ids=["before the answer", "in the middle of it"])
def test_a_client_that_goes_away_is_no_failure(server: Server, stream: bool) -> None:  # noqa: FBT001  # a column of the table
    look = Look(server)
    body = json.dumps(STORY | {"max_tokens": 1500, "stream": stream})
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port)) as connection:
        connection.request("POST", "/v1/completions", body, {"content-type": "application/json"})
        time.sleep(1)
        if stream:
            assert connection.getresponse().read(10)
    end = time.monotonic() + PATIENCE
    while look.window.requests == 0 and time.monotonic() < end:
        time.sleep(0.5)
    assert (look.window.requests, look.window.errors) == (1, 0)


def test_what_a_draining_server_turns_away_is_counted_nowhere(server: Server) -> None:
    look = Look(server)
    with server.stream("/v1/completions", STORY | {"max_tokens": 300, "stream": True}) as story:
        assert story.event()
        os.kill(server.process.pid, signal.SIGTERM)
        server.until("/allod/ready", 503)
        assert server.ask("/v1/chat/completions", CHAT).status == 503
        assert (look.number("failed"), look.number("refused")) == (0, 0)
        assert [*story.events()]
