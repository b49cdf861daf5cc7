from __future__ import annotations

import contextlib

import hypothesis.strategies as st
import pytest
from hypothesis import given

from allod.adapters.answers import LONGEST, Answers, Foreign

STREAM = b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\nTransfer-Encoding: chunked\r\n\r\n"
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\nKeep-Alive: timeout=5, max=100\r\n\r\n" + b'{"status":"ok"}'
"""As llama-server 0.7.0 writes it."""
LAST_PAGE = PAGE.replace(b"Keep-Alive: timeout=5, max=100", b"Connection: close")
LOADING = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 7\r\nConnection: close\r\n\r\nLoading"
NO_PAGE = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
OPEN = b"HTTP/1.0 200 OK\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize(
    ("data", "found", "state"),
    [
        (STREAM, [], (200, False, False)),
        (STREAM + chunk(b"one\n"), [b"one"], (200, False, False)),
        (STREAM + chunk(b"one\n") + chunk(b"two\n"), [b"one", b"two"], (200, False, False)),
        (STREAM + chunk(b"one\ntw") + chunk(b"o\n"), [b"one", b"two"], (200, False, False)),
        (STREAM + chunk(b"half a line"), [], (200, False, False)),
        (STREAM + chunk(b"one\n") + b"0\r\n\r\n", [b"one"], (200, True, False)),
        (STREAM + chunk(b"one") + b"0\r\nexpires: now\r\n\r\n", [b"one"], (200, True, False)),
        (STREAM + b"4;name=value\r\none\n\r\n", [b"one"], (200, False, False)),
        (STREAM + b"0A \r\n123456789\n\r\n", [b"123456789"], (200, False, False)),
        (PAGE, [b'{"status":"ok"}'], (200, True, False)),
        (PAGE + PAGE, [b'{"status":"ok"}'] * 2, (200, True, False)),
        (PAGE + PAGE[:-1], [b'{"status":"ok"}'], (200, False, False)),
        (LAST_PAGE, [b'{"status":"ok"}'], (200, True, True)),
        (LOADING, [b"Loading"], (503, True, True)),
        (NO_PAGE, [b""], (404, True, False)),
        (OPEN + b"one\ntwo", [b"one"], (200, False, False)),
    ],
)
def test_what_is_complete_is_found(data: bytes, found: list[bytes], state: tuple[int, bool, bool]) -> None:
    answers = Answers()
    assert answers.feed(data) == found
    assert (answers.status, answers.over, answers.closes) == state


@given(
    st.integers(1, 7), st.sampled_from([STREAM + chunk(b"one\ntw") + chunk(b"o\n") + b"0\r\n\r\n", PAGE + PAGE + LAST_PAGE, NO_PAGE + PAGE])
)
def test_it_does_not_matter_in_what_pieces_it_comes(size: int, data: bytes) -> None:
    whole, split = Answers(), Answers()
    pieces = [piece for at in range(0, len(data), size) for piece in split.feed(data[at : at + size])]
    assert pieces == whole.feed(data)
    assert (split.status, split.over, split.closes) == (whole.status, whole.over, whole.closes)


@pytest.mark.parametrize(
    ("data", "complete", "closes"), [(OPEN + b"one\nend", [b"end"], True), (STREAM + chunk(b"half"), [], False), (b"", [], False)]
)
def test_the_end_of_the_connection_completes_an_answer_without_a_length(data: bytes, complete: list[bytes], closes: bool) -> None:  # noqa: FBT001  # a column of the table
    answers = Answers()
    answers.feed(data)
    assert (answers.end(), answers.closes) == (complete, closes)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"SSH-2.0-OpenSSH_9.9\r\n", "what answers does not speak HTTP/1.1"),
        (b"\x16\x03\x01\x02\x00", "what answers does not speak HTTP/1.1"),
        (b"HTTP/2 200\r\n\r\n", "what answers does not speak HTTP/1.1"),
        (b"HTTP/1.1 many OK\r\n\r\n", "what answers does not speak HTTP/1.1"),
        (PAGE + b"more", "what answers does not speak HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"x" * LONGEST, f"more than {LONGEST} bytes without an end"),
        (STREAM + chunk(b"x" * LONGEST) + chunk(b"x"), f"more than {LONGEST} bytes without an end"),
        (OPEN + b"x" * (LONGEST + 1), f"more than {LONGEST} bytes without an end"),
        (STREAM + b"ffffff\r\n", "a chunk of 16777215 bytes"),
        (STREAM + b"-5\r\nhello\r\n", "a chunk without a size"),
        (STREAM + b"fffffff\r\n", "a chunk without a size"),
        (STREAM + b"3\r\nfour\r\n", "a chunk longer than its size"),
        (PAGE.replace(b"15", b"-1"), "a page of -1 bytes"),
        (PAGE.replace(b"15", b"999999"), "a page of 999999 bytes"),
        (PAGE.replace(b"15", b"1" * 9000), "a page of 11111111111111111111 bytes"),
    ],
)
def test_what_cannot_be_read_is_foreign(data: bytes, sentence: str) -> None:
    with pytest.raises(Foreign, match=f"^{sentence}$"):
        Answers().feed(data)


PARTS = st.one_of(
    st.binary(max_size=40), st.sampled_from([STREAM, PAGE, OPEN, NO_PAGE, chunk(b"one\n"), b"0\r\n\r\n", b"\r\n", b"x" * 9000])
)


@given(st.lists(PARTS, max_size=30))
def test_whatever_comes_it_is_read_or_foreign_and_never_kept_without_end(parts: list[bytes]) -> None:
    answers = Answers()
    with contextlib.suppress(Foreign):
        for part in parts:
            answers.feed(part)
            assert len(answers._rest) <= LONGEST  # noqa: SLF001  # what is held is the point
            assert len(answers._line) <= LONGEST  # noqa: SLF001  # the same
