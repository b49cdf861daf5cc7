"""The control plane of one cluster.

The same four programs run in two ways: alone on 127.0.0.1 with free ports, as any user (`control_plane`), and inside the box (box.py).
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from box import gobuild, kwok, pki, prerequisites, waiting
from box.api import Api
from box.components import Listening, flags
from box.errors import Failed
from box.programs import Children, Programs, check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROGRAMS = {"setpriv": "util-linux", "openssl": "openssl"}
"""What it needs of the machine when it is alone, and the Debian package of each."""
START = 60
"""Seconds that a start may take: 6 on two idle cores."""
USERS = {"admin": "admin.conf", "controller-manager": "controller-manager.conf", "scheduler": "scheduler.conf", "proxy": "proxy.conf"}


class ControlPlane:
    """etcd, kube-apiserver, kube-controller-manager and kube-scheduler, with their certificates."""

    def __init__(self, state: Path, programs: Programs, at: Listening, outside: str | None = None) -> None:
        self.state = state
        self.programs = programs
        self.at = at
        self.pki = state / "pki"
        """ca.crt, and NAME.crt with NAME.key for admin and the components."""
        self.server = outside or at.server
        """URL, for a program on this machine."""
        self.kubeconfig = state / "kubeconfig"
        """As cluster-admin, for a program on this machine."""

    @property
    def api(self) -> Api:
        """A small client, as the administrator."""
        return Api(self.server, self.pki)

    def start_all(self) -> None:
        """All four; returns when Pods can be made. The certificates are there already."""
        for user, name in USERS.items():
            pki.kubeconfig(self.pki / name, pki=self.pki, user=user, server=self.at.server)
        pki.kubeconfig(self.kubeconfig, pki=self.pki, user="admin", server=self.server)
        self.start("etcd")
        self.start("kube-apiserver")
        self.wait_ready()
        self.start("kube-controller-manager")
        self.start("kube-scheduler")

    def start(self, name: str) -> None:
        """Starts one of the four programs; its data are as they were when it ended."""
        self.programs.start(name, [gobuild.built().kube, name, *flags(name, self.at, self.state)])

    def end(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """Ends one of them, as a crash would. `start` brings it back."""
        self.programs.end(name, how)

    def wait_ready(self) -> None:
        """Until the API server serves."""
        self._until("the API server is ready", self.api.ready, "etcd", "kube-apiserver")

    def wait_default_service_account(self) -> None:
        """Until a Pod may be made in the namespace `default`, which says that the controller manager works."""
        accounts = "/api/v1/namespaces/default/serviceaccounts"
        watched = ("kube-controller-manager", "kube-scheduler")
        self._until("there is a default ServiceAccount", lambda: bool(self.api.items(accounts)), *watched)

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """What kubectl printed; `Failed` with its message when it failed."""
        command = [str(gobuild.built().kubectl), f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.state / 'kubectl'}", *args]
        ran = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise Failed(f"kubectl {' '.join(args)}: {ran.stderr.strip()}", f"The API server's log: {self.programs.log}/kube-apiserver.log")
        return ran.stdout

    def _until(self, what: str, true: Callable[[], bool], *names: str) -> None:
        def now() -> bool:
            for name in names:
                check(self.programs, name)
            return true()

        waiting.until(what, now, seconds=START, todo=f"Look at the logs in {self.programs.log}.")


@contextmanager
def control_plane(state: Path, *, fake_nodes: int = 0, gpus: int = 8, pods: str = kwok.PODS) -> Iterator[ControlPlane]:
    """A control plane alone, on loopback, without root: seconds to start, and gone at the end with all its files but `state/log`.

    With `fake_nodes`, kwok pretends that many nodes with `gpus` each, whose Pods are Ready at once and have addresses of `pods`.
    """
    prerequisites.check("The control plane", PROGRAMS)
    state.mkdir(parents=True, exist_ok=True)
    api, etcd, peer, manager, scheduler = _free_ports(5)
    at = Listening(api=api, etcd=etcd, etcd_peer=peer, controller_manager=manager, scheduler=scheduler)
    programs = Children(state)
    plane = ControlPlane(state, programs, at)
    with ExitStack() as ending:
        ending.callback(_forget, state)
        ending.callback(programs.end_all)
        pki.make(plane.pki)
        plane.start_all()
        plane.wait_default_service_account()
        if fake_nodes:
            kwok.start(plane, pods)
            kwok.add_nodes(plane, fake_nodes, gpus)
        yield plane


def _free_ports(count: int) -> list[int]:
    """Ports that nobody has: all are held until the last is known, so that they differ."""
    with ExitStack() as held:
        return [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


def _forget(state: Path) -> None:
    for path in state.iterdir():
        if path.is_dir() and path.name != "log":
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()
