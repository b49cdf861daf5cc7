#!/opt/allod/bin/python
"""Stands in for `vllm serve` in a pod where an engine has to fail on demand: it counts made-up requests on a page as vLLM's own.

GET /fail/0.2 makes it fail a fifth of its ten requests a second from then on. `standin_asked_total` on its page counts who asked for it.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RATE = 10
STARTED = time.time()
PAGE = """\
# TYPE process_start_time_seconds gauge
process_start_time_seconds {started}
# TYPE http_requests_total counter
http_requests_total{{handler="/v1/chat/completions",method="POST",status="2xx"}} {answered}
http_requests_total{{handler="/v1/chat/completions",method="POST",status="5xx"}} {failed}
# TYPE standin_asked_total counter
"""


class Engine(ThreadingHTTPServer):
    """One pod."""

    daemon_threads = True

    def __init__(self) -> None:
        self.failing = 0.0
        self.answered, self.failed = 0.0, 0.0
        self.asked: Counter[str] = Counter()
        super().__init__(("0.0.0.0", 8000), Answers)  # noqa: S104  # a pod's own network
        threading.Thread(target=self.count, daemon=True).start()

    def count(self) -> None:
        """Requests that nobody sends."""
        while True:
            time.sleep(1 / RATE)
            self.failed += self.failing
            self.answered += 1 - self.failing


class Answers(BaseHTTPRequestHandler):
    """The pages of vLLM behind the watchdog that the operator, the kubelet and Prometheus ask for."""

    protocol_version = "HTTP/1.1"
    server: Engine

    def do_GET(self) -> None:
        if self.path == "/allod/heartbeat":
            self.beat()
        elif self.path == "/metrics":
            self.server.asked[self.client_address[0]] += 1
            asked = "".join(f'standin_asked_total{{by="{by}"}} {times}\n' for by, times in self.server.asked.items())
            self.answer(PAGE.format(started=STARTED, answered=self.server.answered, failed=self.server.failed) + asked)
        else:
            if self.path.startswith("/fail/"):
                self.server.failing = float(self.path.removeprefix("/fail/"))
            self.answer("{}")

    def answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def beat(self) -> None:
        """All is well, twice a second."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        line = b'{"ok": true, "fault": "", "inflight": 0}\n'
        with suppress(ConnectionError):
            while True:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
                time.sleep(0.5)

    def log_message(self, *_: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Engine().serve_forever()
