"""Servers of loopback for images/engine/hub.py: one that answers as a table says, and some that do not answer."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPOSITORY = "org/name"
COMMIT = "12fd25f77366fa6b3b4b768ec3050bf629380bac"
LIST = f"/api/models/{REPOSITORY}/revision/{COMMIT}"
CONFIG = f"/{REPOSITORY}/resolve/{COMMIT}/config.json"
WEIGHTS = f"/{REPOSITORY}/resolve/{COMMIT}/model.safetensors"
HERE, THERE = "127.0.0.2", "127.0.0.3"


@dataclass(frozen=True)
class Says:
    """One answer; `{there}` in a header is the address of the other server."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


def lists(*files: str) -> Says:
    return Says(200, body=json.dumps({"siblings": [{"rfilename": file} for file in files]}))


def refuses(status: int, code: str = "", says: str = "") -> Says:
    return Says(status, {"X-Error-Code": code, "X-Error-Message": says})


GIVES = {LIST: lists("model.safetensors", "config.json"), CONFIG: Says(206, body="{"), WEIGHTS: Says(206, body="x")}
"""A hub that has it."""


@dataclass
class Server:
    """Answers by path; what is not in its table is 404 without a word, as of a server that is no hub."""

    table: dict[str, Says]
    port: int = 0
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def header(self, name: str) -> list[str | None]:
        """Of each question, in their order."""
        return [headers.get(name) for _, headers in self.asked]


@contextmanager
def serving(table: dict[str, Says], address: str = HERE, tls: Path | None = None, port: int = 0) -> Iterator[Server]:
    """With `tls`, the folder of hub.crt and hub.key, it speaks HTTPS."""
    server = Server(table, port)

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append((self.path, dict(self.headers)))
            says = table.get(self.path.partition("?")[0], Says(404))
            self.send_response(says.status)
            for name, value in says.headers.items():
                self.send_header(name, value.format(there=f"http://{THERE}:{server.port}"))
            self.send_header("Content-Length", str(len(says.body)))
            self.end_headers()
            self.wfile.write(says.body.encode())

        def log_message(self, *_: object) -> None:
            """What was asked is kept."""

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Clients that do not trust it go away in the middle."""

    with Quiet((address, server.port), Page) as http:
        server.port = http.server_address[1]
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls / "hub.crt", tls / "hub.key")
            http.socket = context.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server
        finally:
            http.shutdown()


@contextmanager
def silent() -> Iterator[int]:
    """Takes connections and says nothing."""
    with socket.create_server((HERE, 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def hangs_up() -> Iterator[int]:
    """Takes connections and ends them."""

    def serve() -> None:
        while True:
            try:
                listener.accept()[0].close()
            except OSError:
                return

    with socket.create_server((HERE, 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def drops() -> Iterator[int]:
    """Its queue of connections is full: the kernel drops whoever comes, without a word."""
    with socket.create_server((HERE, 0), backlog=0) as listener, socket.create_connection(listener.getsockname()):
        yield listener.getsockname()[1]


def free_port() -> int:
    with socket.socket() as free:
        free.bind((HERE, 0))
        return int(free.getsockname()[1])
