"""A client of the Kubernetes API by the standard library: what the box's own agents need, and no more."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.parse
from contextlib import closing
from typing import TYPE_CHECKING, Any

from box.errors import BoxError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Object = dict[str, Any]


class Refused(BoxError):  # noqa: N818  as the others of the tree in errors.py
    """The API server answered with an error."""

    def __init__(self, status: int, wrong: str) -> None:
        super().__init__(wrong, "Look at the logs: python3 tests/box logs kube-apiserver")
        self.status = status


class Api:
    """One API server, as the administrator."""

    def __init__(self, server: str, pki: Path) -> None:
        address = urllib.parse.urlsplit(server)
        self.host, self.port = address.hostname or "", address.port or 443
        self.tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self.tls.load_cert_chain(pki / "admin.crt", pki / "admin.key")

    def get(self, path: str) -> Object:
        """GET, and the answer's JSON document."""
        return self.send("GET", path)

    def items(self, path: str) -> list[Object]:
        """The objects of a list."""
        found: list[Object] = self.get(path)["items"]
        return found

    def send(self, method: str, path: str, body: Object | None = None, kind: str = "application/json") -> Object:
        """Any request with a JSON document each way. `kind` is the content type, which for PATCH says how to merge."""
        with closing(self._connection(timeout=10)) as connection:
            return _sent(connection, method, path, body, kind)

    def patch_each(self, path: str, bodies: Iterable[Object]) -> None:
        """Merges one after the other into an object, on one connection: as quickly as a client can."""
        with closing(self._connection(timeout=10)) as connection:
            for body in bodies:
                _sent(connection, "PATCH", path, body, "application/merge-patch+json")

    def ready(self) -> bool:
        """Whether it serves; an OSError when nothing listens."""
        with closing(self._connection(timeout=2)) as connection:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK

    def watch(self, path: str, version: str) -> Iterator[Object]:
        """Events since that resource version, until the server ends the stream (5 minutes) or fails (OSError)."""
        query = urllib.parse.urlencode({"watch": 1, "resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": 300})
        with closing(self._connection(timeout=330)) as connection:
            connection.request("GET", f"{path}?{query}")
            answer = connection.getresponse()
            if answer.status != http.HTTPStatus.OK:
                raise ConnectionError(f"watch {path}: {answer.status}")
            while line := answer.readline():
                yield json.loads(line)

    def _connection(self, timeout: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self.host, self.port, context=self.tls, timeout=timeout)


def _sent(connection: http.client.HTTPSConnection, method: str, path: str, body: Object | None, kind: str) -> Object:
    connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": kind})
    answer = connection.getresponse()
    data = answer.read()
    if answer.status >= http.HTTPStatus.BAD_REQUEST:
        raise Refused(answer.status, f"{method} {path}: {answer.status} {_message(data)}")
    document: Object = json.loads(data)
    return document


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        return data.decode(errors="replace")
