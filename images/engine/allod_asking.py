"""What one repository of a hub is asked for, question by question."""

from __future__ import annotations

import base64
import json
import os
import queue
import socket
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote, unquote, urljoin, urlsplit

from allod_access import StrangeError, authorities, proxies, say, token
from allod_cache import WEIGHTS
from allod_refusal import Answer, RefusedError, briefly, judge, not_reached

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

TIMEOUT: Final = 10.0
"""Seconds for a name, for a connection, and between two parts of an answer."""
PATIENCE: Final = ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT")
"""The same in huggingface_hub's own words, for mirrors that are slower."""
HOPS: Final = 5
FORWARD: Final = (301, 302, 303, 307, 308)


class Stay(urllib.request.HTTPRedirectHandler):
    """Redirects are followed one by one, for the token is the hub's alone."""

    def redirect_request(self, *_: Any) -> None:
        """Not by urllib."""


class Hub:
    """One repository, at one revision, on the hub that the environment names."""

    def __init__(self, repository: str, revision: str) -> None:
        self.repository, self.revision = repository, revision
        whole = urlsplit((os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/"))
        login, _, netloc = whole.netloc.rpartition("@")
        self.address = whole._replace(netloc=netloc).geturl()
        self.token = token()
        bearer = f"Bearer {self.token}" if self.token else ""
        self._credentials = f"Basic {base64.b64encode(unquote(login).encode()).decode()}" if login else bearer
        self._timeout = max(TIMEOUT, *(float(os.environ.get(name) or 0) for name in PATIENCE))
        self._proxies = proxies()
        self._opener = urllib.request.build_opener(
            Stay, urllib.request.ProxyHandler(self._proxies), urllib.request.HTTPSHandler(context=authorities())
        )

    def look(self) -> None:
        """Ask for all that vLLM needs first. Raises RefusedError or StrangeError."""
        if not (self.token.isascii() and self.token.isprintable()):
            raise RefusedError("Token", "the token has a character that no HTTP header can carry")
        at = quote(self.revision, safe="")
        try:
            listed = json.loads(self._given(f"/api/models/{self.repository}/revision/{at}", "").body)
            files = [str(file["rfilename"]) for file in listed["siblings"]]
        except (StrangeError, ValueError, TypeError, LookupError) as error:
            say(f"{self.address} does not list the files of {self.repository} ({briefly(error)}): asking for config.json")
            files = ["config.json"]
        top = [file for file in files if "/" not in file]
        weights = [file for ending in WEIGHTS for file in top if file.endswith(ending)]
        for file in ["config.json"] * ("config.json" in files) + weights[:1]:
            self._given(f"/{self.repository}/resolve/{at}/{quote(file)}", file)

    def _given(self, path: str, asked: str) -> Answer:
        """Of a file one byte. Weights mostly stand elsewhere."""
        url = self.address + path
        for _ in range(HOPS):
            answer = self._answer(url, asked)
            if answer.status not in FORWARD:
                judge(answer, asked, self.repository, mine=self._is_mine(url))
                return answer
            url = urljoin(url, answer.headers.get("Location", ""))
        raise StrangeError(f"{self.address} sends from place to place for {asked}")

    def _answer(self, url: str, asked: str) -> Answer:
        """Raises RefusedError when there is none."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StrangeError(f"{self.address} sends to {parts.scheme}://{parts.netloc}")
        proxy = "" if urllib.request.proxy_bypass(parts.netloc) else self._proxies.get(parts.scheme, "")
        there, through = (urlsplit(proxy), " through the proxy ") if proxy else (parts, "")
        port = there.port or (443 if there.scheme == "https" else 80)
        host = f"{parts.netloc}{through}{there.hostname}:{port}" if proxy else f"{parts.hostname}:{port}"
        request = urllib.request.Request(url, headers={"User-Agent": "allod"} | ({"Range": "bytes=0-0"} if asked else {}))  # noqa: S310  see above
        if self._credentials and self._is_mine(url):
            request.add_header("Authorization", self._credentials)
        try:
            within(TIMEOUT, lambda: socket.getaddrinfo(there.hostname, port, type=socket.SOCK_STREAM), socket.gaierror(0, "no answer"))
            # Twice as long for the whole of it: a name may have several addresses of which none answers.
            return within(2 * self._timeout, lambda: self._open(request, 1 if asked else -1), urllib.error.URLError(TimeoutError()))
        except OSError as error:
            raise RefusedError(*not_reached(error, host, str(there.hostname), f"within {self._timeout:g} s"), asked) from error

    def _open(self, request: urllib.request.Request, length: int) -> Answer:
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return Answer(request.full_url, answer.status, answer.headers, answer.read(length))
        except urllib.error.HTTPError as answer:
            with answer:
                return Answer(request.full_url, answer.code, answer.headers, b"")

    def _is_mine(self, url: str) -> bool:
        """Whether it stands on the hub itself, which alone gets the token."""
        mine, other = urlsplit(self.address), urlsplit(url)
        return (mine.scheme, mine.netloc.lower()) == (other.scheme, other.netloc.lower())


def within(seconds: float, call: Callable[[], T], else_: OSError) -> T:
    """Raises what the call raises, and the other after that time: neither a name nor a list of addresses has a limit of its own."""
    done: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((call(), None))
        except Exception as error:  # noqa: BLE001  it is raised where the result is awaited
            done.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = done.get(timeout=seconds)
    except queue.Empty:
        raise else_ from None
    if error:
        raise error
    return result  # type: ignore[return-value]  # without an error it is the call's
