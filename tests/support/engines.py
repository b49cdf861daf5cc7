"""What answers for pretended pods: kwok gives each an address of loopback, and nothing runs there."""

from __future__ import annotations

import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Engine(ThreadingHTTPServer):
    """Answers for one pretended pod. `hangs` makes it take connections and say nothing; `asked` tells that it was heard."""

    daemon_threads = True

    def __init__(self, address: str) -> None:
        self.hangs, self.asked = threading.Event(), threading.Event()
        super().__init__((address, 8000), Health)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class Health(BaseHTTPRequestHandler):
    """GET /health of llama.cpp, on kept connections; and heartbeats of a watchdog that keeps adapters and has none yet."""

    protocol_version = "HTTP/1.1"
    said = 0
    """Answers on this connection."""

    def handle(self) -> None:
        """Who asked may be gone before a hang is over."""
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        assert isinstance(self.server, Engine)
        if self.server.hangs.is_set():
            threading.Event().wait(30)
        if self.path == "/allod/heartbeat":
            self.beat(self.server)
            return
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
        self.said += 1
        # Who asks again on the same connection has heard the answer before: one that nobody heard yet is not lost when it falls silent.
        if self.said > 1:
            self.server.asked.set()

    def beat(self, server: Engine) -> None:
        """Lines until it hangs, or the one who listens goes."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        line = b'{"ok": true, "fault": "", "inflight": 0, "adapters": {}}\n'
        while not server.hangs.wait(0.5):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
            server.asked.set()

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Engines:
    """By the pod's address. End them all when done."""

    def __init__(self) -> None:
        self._made: dict[str, Engine] = {}

    def at(self, address: str) -> Engine:
        """The engine there, started when it is asked for first."""
        if address not in self._made:
            self._made[address] = Engine(address)
        return self._made[address]

    def end(self) -> None:
        for engine in self._made.values():
            engine.hangs.clear()
            engine.shutdown()
            engine.server_close()
