"""A Prometheus, asked over its HTTP API for what engines counted. Others that speak it have not been tried."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from allod.adapters.errors import Refused, Unanswered, Unavailable
from allod.adapters.promanswer import scraped
from allod.render.monitoring.counted import question

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from allod.adapters.promanswer import Pod, Scraped
    from allod.api.slo import Metric

TIMEOUT = aiohttp.ClientTimeout(total=8, connect=3)
"""Seconds. 100 pods with all histograms were answered in 0.25 s by a Prometheus on two busy cores."""
SERVER_TIMEOUT = "6s"
"""Prometheus itself gives up before we do, and says so."""
LARGEST = 64 * 2**20
"""Bytes of an answer: 100 pods with all histograms have 1.2 MB, and one model of a thousand has ten times that."""
LONGEST = 200
"""Characters of a foreign message that are passed on."""
REDIRECTS = range(300, 400)
PLAIN = {"Accept-Encoding": "identity"}
"""The network is cheap where we are, and what is packed may be of any size."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where a Prometheus is, and how it lets us in."""

    url: str
    """Of its root: `/api/v1/query` comes behind it."""
    ca_file: str = ""
    """PEM file with the authorities that may have signed its certificate. Empty: those of the image."""
    token_file: str = ""
    """File with a bearer token, read anew for each question, since Kubernetes exchanges it. Empty: none is sent."""
    match_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that every series must have."""


class Prometheus:
    """Asks over kept connections. Close it when done."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._named = f"Prometheus at {access.url}"
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
        self._session = None

    async def counted(self, models: Collection[tuple[str, str]], metrics: Collection[Metric]) -> Mapping[Pod, Scraped]:
        """What the pods of these models (namespace and name) had counted at their last scrape, all as of one moment.

        With a sentence for a person: Unavailable when nobody is there, Unanswered when this question has no answer that we understand.
        """
        status, body = await self._ask(question(models, metrics, self._access.match_labels))
        try:
            answer: dict[str, Any] = json.loads(body)
            if status == HTTPStatus.OK and answer["status"] == "success":
                return scraped(answer["data"]["result"], metrics)
            why = f"{answer['errorType']}: {answer['error']}"[:LONGEST]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # the last: of what is nested without an end
            why = ""
        raise Refused(self._refusal(status, why))

    async def _ask(self, query: str) -> tuple[int, bytes]:
        try:
            session = self._session = self._session or await self._opened()
            headers = await asyncio.to_thread(self._headers)
            url, form = f"{self._access.url}/api/v1/query", {"query": query, "timeout": SERVER_TIMEOUT}
            # A redirection is not followed: the token is for this address alone.
            async with session.post(url, data=form, headers=headers, allow_redirects=False) as answer:
                return answer.status, await self._body(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            await self.close()  # the next one reads the certificates and the name anew
            raise _kind(problem)(f"{self._named} does not answer: {_why(problem)}") from problem

    async def _opened(self) -> aiohttp.ClientSession:
        context = await asyncio.to_thread(self._certificates)
        connector, jar = aiohttp.TCPConnector(ssl=context), aiohttp.DummyCookieJar()
        return aiohttp.ClientSession(timeout=TIMEOUT, connector=connector, cookie_jar=jar, auto_decompress=False)

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for part in answer.content.iter_any():
            body += part
            if len(body) > LARGEST:
                raise Refused(f"{self._named} does not stop answering: more than {LARGEST} bytes came")
        return bytes(body)

    def _certificates(self) -> ssl.SSLContext:
        path = self._access.ca_file
        try:
            return ssl.create_default_context(cafile=path or None)
        except OSError as problem:  # SSLError is one
            raise OSError(f"the certificates in {path} cannot be read: {problem.strerror or problem}") from None

    def _headers(self) -> dict[str, str]:
        path = self._access.token_file
        if not path:
            return dict(PLAIN)
        try:
            token = Path(path).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as problem:
            raise OSError(f"the token in {path} cannot be read: {getattr(problem, 'strerror', '') or 'it is no ASCII text'}") from None
        if not token.isprintable():
            raise OSError(f"the token in {path} cannot be sent: a line break or another control character is inside")
        return {**PLAIN, "Authorization": f"Bearer {token}"}

    def _refusal(self, status: int, why: str) -> str:
        told = f"{status} {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else str(status)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            todo = "does it take the token of the chart's prometheus.token, and may that read metrics?"
            return f"{self._named} does not let us in ({told}): {todo}"
        if status in REDIRECTS:
            return f"{self._named} sends us elsewhere ({told}): prometheus.url has to be its own address, not one behind a login page"
        if why:
            return f"{self._named} cannot tell ({told}): {why}"
        if status == HTTPStatus.OK or status == HTTPStatus.NOT_FOUND:  # noqa: PLR1714  # two cases of one mistake
            return f"what answers at {self._access.url} is no Prometheus ({told}): prometheus.url is the part in front of /api/v1/query"
        return f"{self._named} gives no figures: it answers {told}"


def _kind(problem: Exception) -> type[Unavailable]:
    """Who was reached may have choked on this very question. Files of our own that cannot be read are nobody's answer."""
    not_reached = isinstance(problem, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return Unanswered if isinstance(problem, aiohttp.ClientError | TimeoutError) and not not_reached else Unavailable


def _why(problem: Exception) -> str:
    """Why there was no answer, without numbers that are others each time."""
    match problem:
        case TimeoutError():
            return f"nothing came within {TIMEOUT.total:g} s"
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate is not trusted: {getattr(problem.certificate_error, 'verify_message', '')}"
        case aiohttp.ClientConnectorDNSError():
            return "its name is not known"
        case aiohttp.ClientConnectorError():
            return os.strerror(problem.os_error.errno) if problem.os_error.errno else str(problem.os_error)
        case aiohttp.ServerDisconnectedError():
            return "it closed the connection"
        case _:
            return str(problem) or type(problem).__name__
