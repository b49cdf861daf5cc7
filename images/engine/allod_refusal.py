"""What it means that a hub does not give what it is asked for: which answers, and which silence, and what a person is told of each."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import urllib.error
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from allod_access import StrangeError, hidden

if TYPE_CHECKING:
    from email.message import Message

WORDS: Final = 300
"""Characters of what a hub says."""
KEPT: Final = 4096
"""Bytes of a termination message that a kubelet keeps."""
GIVEN: Final = (200, 206, 416)
"""The last: of an empty file."""
PASSING: Final = (407, 429, 500, 502, 503, 504)


@dataclass(eq=False)
class RefusedError(Exception):
    """What is asked for is not given; its fields are the document's."""

    cause: str
    message: str
    asked: str = ""
    status: int | None = None
    code: str = ""
    says: str = ""
    elsewhere: bool = False  # than at the hub, where that sent to

    @property
    def sentence(self) -> str:
        """With the hub's own words."""
        return f"{self.message} ({self.says})" if self.says else self.message

    @property
    def passes(self) -> bool:
        """Whether it may be over by itself."""
        return self.status in PASSING if self.status else self.cause not in ("Certificate", "Token")


@dataclass(frozen=True)
class Answer:
    """Of one server to one question."""

    url: str
    status: int
    headers: Message
    body: bytes


def judge(answer: Answer, asked: str, repository: str, *, mine: bool) -> None:
    """Raises unless it is given. That another server than the hub says 401 means nothing here: vLLM may have a token for it."""
    status, code, says = answer.status, *(words(answer.headers.get(name, "")) for name in ("X-Error-Code", "X-Error-Message"))
    if status in GIVEN:
        return
    refused = (status == 401 and mine) or (status == 403 and (asked or code or says))  # noqa: PLR2004  HTTP's
    if not (refused or status in PASSING or (status == 404 and code in ("RepoNotFound", "RevisionNotFound"))):  # noqa: PLR2004  HTTP's
        raise StrangeError(f"{answer.url.partition('?')[0]} answers {status}")
    answers = f"{urlsplit(answer.url).netloc} answers {status} {http.client.responses.get(status, '')}".rstrip()
    raise RefusedError("Status", f"{answers} for {asked or repository}", asked, status, code, says, not mine)


def words(header: str) -> str:
    """What a server says in a header, in one line. Most write UTF-8, which http.client takes for Latin-1."""
    with contextlib.suppress(UnicodeError):
        header = header.encode("latin-1").decode()
    return hidden(" ".join(header.split()))[:WORDS]


def not_reached(error: OSError, host: str, name: str, in_time: str) -> tuple[str, str]:
    """Why no answer came, told apart by where it ended: cause and message."""
    outside = isinstance(error, urllib.error.URLError)  # urllib puts into it what happens before a question is out
    inner = error.reason if isinstance(error, urllib.error.URLError) and isinstance(error.reason, OSError) else error
    says = getattr(inner, "verify_message", "") or inner.strerror or str(inner) or type(inner).__name__
    match inner:
        case socket.gaierror():
            return "Name", f"the name {name} has no address ({says})"
        case ConnectionRefusedError():
            return "Closed", f"nothing listens at {host}"
        case ssl.SSLCertVerificationError():
            return "Certificate", f"the certificate of {host} is not trusted ({says})"
        case TimeoutError() if outside and "handshake" not in str(inner):
            return "Dropped", f"no connection to {host} {in_time}"
        case TimeoutError():
            return "Silent", f"{host} takes the connection and does not answer {in_time}"
        case _:
            return "Broken", f"the connection to {host} fails ({says})"


def document(told: dict[str, Any]) -> bytes:
    """As JSON, whole: a kubelet keeps the end of what is longer, which nobody can read. The longest texts are cut first."""
    most = 1024
    while True:
        cut = {name: first(hidden(value), most) if isinstance(value, str) else value for name, value in told.items()}
        if len(written := json.dumps(cut, ensure_ascii=False).encode("utf-8", "replace")) <= KEPT:
            return written
        most //= 2


def first(text: str, most: int) -> str:
    """What is whole within so many bytes."""
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


def briefly(error: Exception) -> str:
    """In our own words. Those of others may repeat what they were given, such as a header with the token in it."""
    return str(error) if isinstance(error, StrangeError) else type(error).__name__
