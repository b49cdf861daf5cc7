"""A real Prometheus on loopback, without a cluster, which scrapes pages that a test writes."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import yaml

from box import prometheus, waiting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

OFTEN = "200ms"


class Pages(ThreadingHTTPServer):
    """What pods say, by their path; a path that is not there is a pod that is broken."""

    daemon_threads = True

    def __init__(self) -> None:
        self.by_path: dict[str, bytes] = {}
        super().__init__(("127.0.0.1", 0), _Page)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Pages)
        page = self.server.by_path.get(self.path)
        self.send_response(200 if page is not None else 500)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(page or b"")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Scraped:
    """One target, with the labels that a PodMonitor of ours would give it."""

    pod: str
    model: str = "chat"
    namespace: str = "ai"
    revision: str = "5b21aa0c"
    job: str = "podMonitor/ai/chat/0"
    labels: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    """Without it: the pod's name."""

    def config(self, address: str) -> dict[str, Any]:
        ours = {"namespace": self.namespace, "pod": self.pod, "allod_dev_model": self.model, "allod_dev_revision": self.revision}
        labels = {**ours, "instance": f"{self.pod}:8000", "__metrics_path__": self.path or f"/{self.pod}", **self.labels}
        return {"job_name": self.job, "static_configs": [{"targets": [address], "labels": labels}]}


@dataclass
class LonePrometheus:
    """It runs until the block ends."""

    url: str
    pages: Pages | None = None
    """That it scrapes, where they are ours."""

    def ask(self, expression: str) -> bytes:
        """The whole answer."""
        form = urllib.parse.urlencode({"query": expression}).encode()
        with urllib.request.urlopen(f"{self.url}/api/v1/query", form, timeout=30) as answer:
            return answer.read()  # type: ignore[no-any-return]  # urllib's answer is Any

    def number(self, expression: str) -> float | None:
        """The value of an expression that gives one series; None: it gives none."""
        found = json.loads(self.ask(expression))["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def until(self, expression: str, value: float | None) -> None:
        """Until the expression has that value."""
        waiting.until(f"{expression} is {value}", lambda: self.number(expression) == value, seconds=10)

    def write(self, path: str, page: bytes | None) -> None:
        """Another page, and it has been scraped; None: there is none any more."""
        assert self.pages
        if page is None:
            self.pages.by_path.pop(path, None)
        else:
            self.pages.by_path[path] = page
        time.sleep(0.6)  # three scrapes


@contextmanager
def scraping(folder: Path, targets: list[Scraped], pages: Mapping[str, bytes]) -> Iterator[LonePrometheus]:
    """A Prometheus that has scraped all targets once."""
    server = Pages()
    server.by_path |= pages
    jobs: dict[str, dict[str, Any]] = {}
    for each in targets:
        config = each.config(f"127.0.0.1:{server.server_address[1]}")
        known = jobs.setdefault(each.job, config)
        if known is not config:
            known["static_configs"] += config["static_configs"]
    scrapes = {"scrape_interval": OFTEN, "scrape_timeout": OFTEN}
    try:
        with running(folder, yaml.safe_dump({"global": scrapes, "scrape_configs": [*jobs.values()]}), len(targets)) as made:
            made.pages = server
            yield made
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def running(folder: Path, config: str, targets: int) -> Iterator[LonePrometheus]:
    """A Prometheus that has tried so many targets once."""
    (folder / "prometheus.yaml").write_text(config)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    flags = {"config.file": folder / "prometheus.yaml", "storage.tsdb.path": folder / "data", "web.listen-address": f"127.0.0.1:{port}"}
    words = [str(prometheus.unpacked() / "prometheus"), *(f"--{name}={value}" for name, value in flags.items())]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
    made = LonePrometheus(f"http://127.0.0.1:{port}")
    try:
        waiting.until("every target was scraped", lambda: made.number("count(up)") == targets, seconds=60)
        yield made
    finally:
        process.kill()
        process.wait()
