"""Each row of the rules on real sockets. The rules themselves are in tests/unit/domain/test_listening.py."""

from __future__ import annotations

import asyncio
import contextlib
import re
import resource
import socket
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import pytest

from allod.adapters.answers import LONGEST
from allod.adapters.verdicts import POLLED, PUSHED
from allod.domain.serving.health.listening import CONNECT, SILENCE
from unit.adapters.peer import END, HEAD, answers, chunk, ear, free_port, line, page, peer, sends, well

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping

    from allod.adapters.verdicts import Verdict
    from allod.domain.serving.health.beat import State
    from unit.adapters.peer import Conversation

T = TypeVar("T")

HUNG = "hung: no engine step for 30 s while a request waits"
DRAINS = "draining: the server was told to stop"


async def together(rows: Mapping[str, Awaitable[T]]) -> dict[str, T]:
    """A table whose rows take seconds each: all at once."""
    return dict(zip(rows, await asyncio.gather(*rows.values()), strict=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_beats_are_heard(host: str) -> None:
    async with peer(well, host=host) as server, ear(host, server.port) as listens:
        await listens.until("Serving")
        await asyncio.sleep(1)
        assert listens.observer.take_beats() >= 5
        beat, name = listens.heartbeat.beat, f"[{host}]" if ":" in host else host
        assert (beat.message, beat.heard, beat.since.tzinfo) == ("it says that it is well", True, UTC)
        assert server.requests == [f"GET /allod/heartbeat HTTP/1.1\r\nhost: {name}:{server.port}\r\nuser-agent: allod\r\n\r\n".encode()]
        assert listens.states == ["Serving"]


async def test_a_process_that_dies_is_gone_at_once() -> None:
    async with peer(well) as server, ear("127.0.0.1", server.port) as listens:
        await listens.until("Serving")
        await server.die()
        await listens.until("Gone")
        assert listens.heartbeat.beat.message == "the connection was closed, then refused"


async def test_a_port_on_which_nobody_listens_is_gone_at_once() -> None:
    async with ear("127.0.0.1", free_port(), proven=True) as listens:
        await listens.until("Gone")
        beat = listens.heartbeat.beat
        assert (beat.message, beat.heard) == ("the connection was refused twice", False)


async def test_a_pod_that_has_not_served_yet_is_starting_until_it_serves() -> None:
    port = free_port()
    async with ear("127.0.0.1", port) as listens:
        await listens.until("Starting")
        async with peer(well, port=port):
            await listens.until("Serving")
    assert listens.states == ["Starting", "Serving"]


async def test_a_pod_is_looked_at_at_once_when_something_happened_to_it() -> None:
    port = free_port()
    async with ear("127.0.0.1", port, proven=True) as listens:
        await listens.until("Gone")
        await asyncio.sleep(1.2)
        async with peer(well, port=port):
            listens.heartbeat.hurry(proven=True)
            await listens.until("Serving")


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_one_connection_that_breaks_says_nothing(how: str) -> None:
    async with peer(sends(HEAD, line(), 0.2, then=how), well) as server, ear("127.0.0.1", server.port) as listens:
        await listens.until("Serving")
        await asyncio.sleep(1)
        assert len(server.requests) == 2
        assert listens.states == ["Serving"]


async def test_a_process_that_came_back_before_we_looked_starts_anew() -> None:
    starts = line(ok=False, fault="starting: the engine has not made its first step")
    async with (
        peer(sends(HEAD, line(), 0.2, then="reset"), sends(HEAD, starts, 0.5, line())) as server,
        ear("127.0.0.1", server.port) as listens,
    ):
        await listens.until("Serving")
        await listens.until("Starting")
        await listens.until("Serving")


async def test_connections_that_do_not_last_are_not_made_for_ever() -> None:
    async with peer(sends(HEAD, line(), then="close")) as server, ear("127.0.0.1", server.port) as listens:
        await listens.until("Unknown")
        await asyncio.sleep(1)
        assert 3 <= len(server.requests) <= 5
        assert "no connection lasts: closed, 3 failures in a row" in {each.message for each in listens.said}


WORDLESS: dict[str, Conversation] = {
    "no answer": sends(),
    "slow headers": sends(b"HTTP/1.1 200 OK\r\n", *(0.3, b"x: y\r\n") * 30),
    "no line": sends(HEAD),
    "half a line": sends(HEAD, line(), line()[:-20]),
    "an endless line": sends(HEAD, line(), *(0.3, b"4\r\n    \r\n") * 30),
}


async def test_a_server_from_which_no_word_comes_in_time_is_silent() -> None:
    async def row(conversation: Conversation) -> tuple[bool, bool]:
        async with peer(conversation) as server, ear("127.0.0.1", server.port, proven=True) as listens:
            seconds = await listens.until("Silent")
            says = re.search(r"for (\d+\.\d) s\Z", listens.heartbeat.beat.message)
            return seconds > SILENCE - 0.1, says is not None and float(says[1]) >= SILENCE

    assert await together({name: row(each) for name, each in WORDLESS.items()}) == dict.fromkeys(WORDLESS, (True, True))


async def test_a_silent_server_is_asked_on_a_new_connection() -> None:
    async with peer(sends(HEAD, line()), well) as server, ear("127.0.0.1", server.port) as listens:
        await listens.until("Silent")
        await listens.until("Serving")
        assert listens.heartbeat.beat.since <= datetime.now(UTC)


async def test_an_address_that_does_not_answer_is_unreachable() -> None:
    """A full accept queue drops what would connect, as a node that is away does."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(2):
            waits = stack.enter_context(socket.socket())
            waits.settimeout(0)  # do not wait for an answer
            waits.connect_ex(full.getsockname())
        async with ear("127.0.0.1", full.getsockname()[1], proven=True) as listens:
            assert await listens.until("Unreachable") > CONNECT - 0.1
            assert listens.heartbeat.beat.message == "no answer to a connection for 0.75 s"


async def test_an_address_to_which_the_network_knows_no_way_is_unreachable() -> None:
    # To a multicast address Linux itself says so, without asking anybody.
    async with ear("224.0.0.1", 8000, proven=True) as listens:
        await listens.until("Unreachable")


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """This process may open no more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = [socket.socket() for _ in range(100)]  # they fill the gaps below
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(each.fileno() for each in spare) + 1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for each in spare:
            each.close()


async def test_that_we_cannot_look_says_nothing_about_the_pod() -> None:
    async with peer(well) as server:
        with no_descriptors():
            async with ear("127.0.0.1", server.port, proven=True) as listens:
                await asyncio.sleep(0.6)
        assert (listens.states, listens.heartbeat.beat.message) == (["Unknown"], "cannot look: [Errno 24] Too many open files")


async def test_a_bug_of_ours_says_nothing_about_the_pod() -> None:
    def says(_status: int, _line: bytes) -> Verdict:
        raise ZeroDivisionError("our own")

    async with peer(well) as server, ear("127.0.0.1", server.port, replace(PUSHED, says=says), proven=True) as listens:
        await asyncio.sleep(0.6)
    assert (listens.states, listens.heartbeat.beat.message) == (["Unknown"], "cannot look: ZeroDivisionError: our own")


async def test_it_can_be_ended_at_any_moment() -> None:
    async with peer(well) as server, ear("127.0.0.1", server.port) as listens:
        for turns in range(12):
            for _ in range(turns):
                await asyncio.sleep(0)
            listens.heartbeat.close()
            listens.heartbeat.look()
        listens.heartbeat.close()
        await server.until_talking(0)
        listens.heartbeat.look()
        await server.until_talking(1)
        await listens.until("Serving")


async def test_a_pushed_fault_and_its_end_are_known_at_once() -> None:
    talk = sends(HEAD, line(), 0.3, line(ok=False, fault=HUNG, inflight=4), 0.3, line(ok=False, fault=HUNG, inflight=5), 0.3, line())
    async with peer(talk) as server, ear("127.0.0.1", server.port) as listens:
        await listens.until("Faulty")
        assert listens.heartbeat.beat.message == f"{HUNG}; requests in flight: 4"
        await listens.until("Serving")
        assert listens.states == ["Serving", "Faulty", "Serving"]


OTHERS = {
    "status 404": page(404, b"not found"),
    "status 500": b"HTTP/1.1 500 Oops\r\n\r\nno end",
    "what answers does not speak HTTP/1.1": b"SSH-2.0-OpenSSH_9.9\r\n",
    "not a heartbeat: 'hello'": HEAD + chunk(b"hello\n"),
    f"more than {LONGEST} bytes without an end": HEAD + chunk(b"x" * LONGEST) * 2,
    "a chunk of 8388607 bytes": HEAD + b"7fffff\r\n",
    """not a heartbeat: '{"status":"ok"}'""": page(200, b'{"status":"ok"}'),
}


async def test_another_page_says_nothing_about_the_pod_and_is_asked_for_rarely() -> None:
    async def row(sent: bytes) -> tuple[State, str, bool]:
        async with peer(sends(sent)) as server, ear("127.0.0.1", server.port, proven=True) as listens:
            await asyncio.sleep(1.5)
            return listens.heartbeat.beat.state, listens.heartbeat.beat.message, len(server.requests) <= 2

    expected = {what: ("Unknown", f"GET /allod/heartbeat: {what}", True) for what in OTHERS}
    assert await together({what: row(sent) for what, sent in OTHERS.items()}) == expected


async def test_a_draining_server_is_not_gone_when_it_closes_its_port() -> None:
    async with peer(sends(HEAD, line(), 0.2, line(ok=False, fault=DRAINS), END)) as server, ear("127.0.0.1", server.port) as listens:
        await listens.until("Draining")
        await server.die()
        await asyncio.sleep(1.3)
        assert (listens.states, listens.heartbeat.beat.message) == (["Serving", "Draining"], DRAINS)


async def test_silence_while_our_own_loop_stood_still_does_not_count() -> None:
    async with peer(well) as server, ear("127.0.0.1", server.port) as listens:
        await listens.until("Serving")
        time.sleep(2)  # noqa: ASYNC251  # a loop that is blocked is the point
        await asyncio.sleep(0.3)
        assert listens.states == ["Serving"]


OPEN_PAGE = b"HTTP/1.0 200 OK\r\n\r\nfine"


HEALTH: dict[str, tuple[list[Conversation], list[State]]] = {
    "kept": ([answers(*[page(200)] * 9)], ["Serving"]),
    "closed as said": ([answers(page(200), page(200, b"{}", b"connection: close"))], ["Serving"]),
    "without a length": ([answers(OPEN_PAGE)], ["Serving"]),
    "loading": ([answers(page(503, b"Loading model", b"connection: close")), answers(*[page(200)] * 9)], ["Starting", "Serving"]),
    "an error": ([answers(page(200), page(500), page(500), *[page(200)] * 9)], ["Serving", "Faulty", "Serving"]),
    "404": ([answers(page(404))], ["Unknown"]),
    "silent": ([answers(page(200)), sends()], ["Serving", "Silent"]),
}


async def test_a_health_page_is_asked_for_twice_a_second() -> None:
    async def row(conversations: list[Conversation]) -> tuple[list[State], int]:
        async with peer(*conversations) as server, ear("127.0.0.1", server.port, POLLED) as listens:
            await asyncio.sleep(2)
            return listens.states, listens.observer.beats

    found = await together({name: row(conversations) for name, (conversations, _) in HEALTH.items()})
    assert {name: states for name, (states, _) in found.items()} == {name: states for name, (_, states) in HEALTH.items()}
    assert all(3 <= beats <= 5 for name, (states, beats) in found.items() if states == ["Serving"]), found


async def test_a_page_asked_for_may_take_as_long_as_a_silence() -> None:
    slow = sends(*(page(200), 0.9) * 9)
    async with peer(slow) as server, ear("127.0.0.1", server.port, POLLED) as listens:
        await asyncio.sleep(2)
        assert listens.states == ["Serving"]
        assert len(server.requests) == 1
