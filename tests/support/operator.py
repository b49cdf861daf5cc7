"""The operator as a process of its own, beside a real control plane and with no more rights than its chart gives."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from box import waiting
from support.helm import MINIMAL, Helm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from box.controlplane import ControlPlane

NAMESPACE = "allod-system"
USER = f"system:serviceaccount:{NAMESPACE}:allod"
RIGHTS = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
IMAGES = {f"ALLOD_{name}_IMAGE": f"allod.test/{name.lower()}:dev" for name in ("VLLM", "VLLM_CPU", "LLAMACPP", "INSPECT")}


@dataclass(frozen=True)
class Site:
    """A control plane for operators that really run: with our CRDs, an audit log, and the rights of the chart."""

    plane: ControlPlane
    kubeconfig: Path
    """Of the operator's ServiceAccount."""
    audit: Path
    """The API server's audit log."""


def grant(plane: ControlPlane, folder: Path, *values: str) -> Path:
    """Give the operator's ServiceAccount the rights of the chart with these values. Returns a kubeconfig with its token alone."""
    rights = [each for each in Helm(folder).template(MINIMAL, *values) if each["kind"] in RIGHTS]
    plane.kubectl("create", "namespace", NAMESPACE)
    plane.kubectl("apply", "--server-side", "--filename=-", stdin=yaml.safe_dump_all(rights))
    kubeconfig = yaml.safe_load(plane.kubeconfig.read_text())
    token = plane.kubectl("create", "token", "allod", "--namespace", NAMESPACE, "--duration=2h").strip()
    kubeconfig["users"] = [{"name": kubeconfig["users"][0]["name"], "user": {"token": token}}]
    path = folder / "operator.conf"
    path.write_text(yaml.safe_dump(kubeconfig))
    return path


class Operator:
    """One replica. It can be started again after it ended."""

    def __init__(self, kubeconfig: Path, folder: Path, name: str = "allod-0", **settings: str) -> None:
        self.name = name
        self._settings = settings
        self._kubeconfig = kubeconfig
        self._log = folder / f"{name}.log"
        self._log.touch()
        self._process: subprocess.Popen[bytes] | None = None
        self._base = ""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the operator was never started"
        return self._process

    def start(self) -> Operator:
        """Returns when its pages are served."""
        said = len(self.logs())
        # A client that is killed leaves the keys of its kubeconfig in files there.
        private = {
            "TMPDIR": str(self._log.parent),
            "POD_NAME": self.name,
            "POD_NAMESPACE": NAMESPACE,
            "ALLOD_HTTP_HOST": "127.0.0.1",
            "ALLOD_HTTP_PORT": "0",
        }
        given = {"KUBECONFIG": str(self._kubeconfig), "PYTHONWARNINGS": "error::RuntimeWarning", **IMAGES, **private, **self._settings}
        with self._log.open("ab") as log:
            environment = {name: value for name, value in os.environ.items() if not name.startswith(("ALLOD_", "KUBERNETES_"))} | given
            self._process = subprocess.Popen([sys.executable, "-m", "allod", "run"], env=environment, stdout=log, stderr=log)
        waiting.until("the operator started", lambda: self._started(said), seconds=20, todo=f"Look at {self._log}")
        return self

    def _started(self, said: int) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        ports = [each["port"] for each in self.logs()[said:] if each["message"] == "started"]
        self._base = f"http://127.0.0.1:{ports[-1]}" if ports else ""
        return bool(ports)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait. Returns the exit code."""
        self.process.send_signal(how)
        return self.process.wait(timeout=20)

    def logs(self) -> list[dict[str, Any]]:
        """What it logged, in all its lives. A line that is no JSON (a traceback at the start) fails the test."""
        return [json.loads(line) for line in self._log.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def complaints(self) -> list[dict[str, Any]]:
        """What it logged as an error: a healthy operator never does."""
        return [each for each in self.logs() if each["level"] in ("ERROR", "CRITICAL")]

    def page(self, path: str) -> tuple[int, str]:
        """Status and text of one of its pages."""
        try:
            with urllib.request.urlopen(self._base + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def figure(self, name: str) -> float:
        """Sum of a metric over its labels."""
        lines = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", self.page("/metrics")[1], re.MULTILINE)
        return sum(map(float, lines))

    def wait_ready(self) -> None:
        waiting.until("the operator is ready", lambda: self.page("/readyz")[0] == 200, seconds=30, todo=f"Look at {self._log}")

    def wait_leading(self) -> None:
        waiting.until("the operator leads", lambda: self.figure("allod_leader") == 1, seconds=60, todo=f"Look at {self._log}")


@contextmanager
def running(*operators: Operator) -> Iterator[None]:
    """Start them, and end whatever of them still runs."""
    for each in operators:
        each.start()
    try:
        yield
    finally:
        for each in operators:
            if each.process.poll() is None:
                each.end(signal.SIGKILL)
