"""The operator's own ears on real connections: a pod that hangs is left, ended and made anew, under the rights of the chart."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from allod.adapters.resources import resource
from support.models import SPEC, Models
from support.operator import Operator, Site, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVICES, PODS = resource("v1", "Service"), resource("v1", "Pod")


class Engine(ThreadingHTTPServer):
    """Answers for one pretended pod, at its own loopback address. `hangs` makes it take connections and say nothing."""

    daemon_threads = True

    def __init__(self, address: str) -> None:
        self.hangs = threading.Event()
        super().__init__((address, 8000), Health)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class Health(BaseHTTPRequestHandler):
    """GET /health of llama.cpp, on kept connections."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Engine)
        if self.server.hangs.is_set():
            threading.Event().wait(30)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def engines() -> Iterator[dict[str, Engine]]:
    """By the pod's name; all are ended afterwards."""
    made: dict[str, Engine] = {}
    yield made
    for engine in made.values():
        engine.shutdown()
        engine.server_close()


def of(models: Models, name: str) -> list[dict[str, str]]:
    """Name, address and uid of its pods that have an address."""
    pods = (pod for pod in models.all(PODS) if pod["metadata"]["labels"]["allod.dev/model"] == name and pod["status"].get("podIP"))
    return [{"name": pod["metadata"]["name"], "address": pod["status"]["podIP"], "uid": pod["metadata"]["uid"]} for pod in pods]


def test_a_pod_that_falls_silent_is_left_and_ended(site: Site, models: Models, engines: dict[str, Engine], tmp_path: Path) -> None:
    operator = Operator(site.kubeconfig, tmp_path)
    with running(operator):
        operator.wait_leading()
        models.create("small", replicas=1, model={**SPEC["model"], "aliases": ["chat"]})
        models.create("chat", replicas=1, standby={"modelDeploymentRef": {"name": "small"}})
        for name in ("small", "chat"):
            models.wait_settled(name)
            for pod in of(models, name):
                engines[name] = Engine(pod["address"])
        models.until("both are heard", lambda: operator.figure('allod_heartbeat_pods{state="Serving"}') >= 2)
        before = of(models, "chat")[0]["uid"]
        engines["chat"].hangs.set()
        models.until("traffic left", lambda: models.get("chat", SERVICES)["spec"]["selector"]["allod.dev/model"] == "small")
        models.until("the pod is another", lambda: [pod["uid"] for pod in of(models, "chat")] not in ([], [before]))
        history = [step["action"] for step in models.get("chat")["status"]["history"]]
        assert history[0] == "FailedOver"
        assert operator.complaints() == []
