"""HTTP/1.1 answers on one kept connection, read as they come: lines of a chunked stream, or whole pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    Part = Callable[[bytes, int, list[bytes]], int]

LONGEST: Final = 16384
"""Bytes of a head, a line or a page. A heartbeat has 100; what is longer is not one, and is not kept in memory."""

STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-9]\d\d)[ \r]")
SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,6})[ \t]*(?:;[^\r\n]*)?\r\n")
BEGINNING: Final = b"HTTP/1."


class Foreign(Exception):  # noqa: N818  # read as what happened, as the API's errors are
    """What came is not what we asked for. The text is a sentence for a person."""


class Answers:
    """Give it what the socket gave."""

    def __init__(self) -> None:
        self.status = 0
        """Of the answer that is being read or was read last; 0 before the first."""
        self.over = False
        """Whether that answer is complete."""
        self.closes = False
        """Whether the server said that it closes the connection after it."""
        self._rest = b""
        self._line = b""
        self._length = 0
        self._part: Part = self._head

    def feed(self, data: bytes) -> list[bytes]:
        """Lines of a stream that are complete now, without their ends, and pages that are. Foreign when it cannot be read."""
        if self._rest:
            data = self._rest + data
        found: list[bytes] = []
        at, end = 0, len(data)
        while at < end:
            then = self._part(data, at, found)
            if then == at:
                break
            at = then
        self._rest = data[at:]
        if len(self._rest) > LONGEST:
            raise Foreign(f"more than {LONGEST} bytes without an end")
        return found

    def end(self) -> list[bytes]:
        """The connection ended: an answer without a length is complete by that. Its last line, if there is such an answer."""
        if self._part != self._open:
            return []
        found, self.closes = [self._line], True
        self._ends()
        return found

    def _head(self, data: bytes, at: int, found: list[bytes]) -> int:
        if not data.startswith(BEGINNING[: len(data) - at], at):
            raise Foreign("what answers does not speak HTTP/1.1")
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            return at
        status = STATUS.match(data, at)
        if status is None:
            raise Foreign("what answers does not speak HTTP/1.1")
        headers = dict(_headers(data[at:end]))
        self.status, self.over = int(status[1]), False
        self.closes = b"close" in headers.get(b"connection", b"")
        if b"chunked" in headers.get(b"transfer-encoding", b""):
            self._part = self._chunk
        elif (length := headers.get(b"content-length")) is not None:
            self._length, self._part = _size(length), self._page
            if self._length == 0:
                self._page(b"", 0, found)
        else:
            self._part = self._open
        return end + 4

    def _chunk(self, data: bytes, at: int, found: list[bytes]) -> int:
        size = SIZE.match(data, at)
        if size is None:
            if b"\n" in data[at:] or len(data) - at > LONGEST:
                raise Foreign("a chunk without a size")
            return at
        start, length = size.end(), int(size[1], 16)
        if length == 0:
            return self._last_chunk(data, at, start, found)
        if length > LONGEST:
            raise Foreign(f"a chunk of {length} bytes")
        end = start + length
        if len(data) < end + 2:
            return at
        if data[end : end + 2] != b"\r\n":
            raise Foreign("a chunk longer than its size")
        self._lines(data[start:end], found)
        return end + 2

    def _last_chunk(self, data: bytes, at: int, start: int, found: list[bytes]) -> int:
        """Trailers, if any, end with an empty line."""
        end = data.find(b"\r\n\r\n", start - 2)
        if end < 0:
            return at
        if self._line:
            found.append(self._line)
        self._ends()
        return end + 4

    def _page(self, data: bytes, at: int, found: list[bytes]) -> int:
        end = at + self._length
        if len(data) < end:
            return at
        found.append(data[at:end])
        self._ends()
        return end

    def _open(self, data: bytes, at: int, found: list[bytes]) -> int:
        """Without a length, up to the end of the connection."""
        self._lines(data[at:], found)
        return len(data)

    def _lines(self, piece: bytes, found: list[bytes]) -> None:
        *whole, self._line = (self._line + piece if self._line else piece).split(b"\n")
        found += whole
        if len(self._line) > LONGEST:
            raise Foreign(f"more than {LONGEST} bytes without an end")

    def _ends(self) -> None:
        self.over, self._line, self._part = True, b"", self._head


def _headers(head: bytes) -> list[tuple[bytes, bytes]]:
    lines = (line.partition(b":") for line in head.lower().split(b"\r\n")[1:])
    return [(name.strip(), value.strip()) for name, _, value in lines]


def _size(length: bytes) -> int:
    """A content-length."""
    if not re.fullmatch(rb"\d{1,6}", length) or int(length) > LONGEST:
        raise Foreign(f"a page of {length[:20].decode(errors='replace')} bytes")
    return int(length)
