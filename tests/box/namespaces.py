"""Entering the box or a node of it: to run a command, to start a program that stays, or to open one socket."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from box import processes, waiting
from box.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SOURCES = Path(__file__).resolve().parents[1]
"""The folder that holds this package: the agents inside run from it."""
CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Namespaces:
    """Those in which the process `pid` of the machine lives."""

    pid: int

    def command(self, *argv: str | Path) -> list[str]:
        """The command line that runs ARGV inside. It begins in the folder /, so paths must be absolute."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--uts", "--ipc", "--", *map(str, argv)]

    def run(self, *argv: str | Path, stdin: str | None = None) -> str:
        """What the command printed; `Failed` with its error otherwise."""
        ran = subprocess.run(self.command(*argv), input=stdin, capture_output=True, text=True, check=False)
        if ran.returncode:
            said = ran.stderr.strip() or ran.stdout.strip() or f"exit status {ran.returncode}"
            raise Failed(f"{' '.join(map(str, argv))}: {said}", "It ran inside the box: python3 tests/box status says whether that is up.")
        return ran.stdout

    @contextmanager
    def network(self) -> Iterator[None]:
        """Sockets that this thread makes meanwhile belong to the network inside. Other threads are not touched."""
        with Path("/proc/thread-self/ns/net").open("rb") as home, Path(f"/proc/{self.pid}/ns/net").open("rb") as inside:
            _setns(inside.fileno())
            try:
                yield
            finally:
                _setns(home.fileno())

    def connect(self, host: str, port: int, timeout: float | None = 10) -> socket.socket:
        """A connection from inside to an address inside."""
        with self.network():
            return socket.create_connection((host, port), timeout=timeout)


def enter_network(pid: int) -> None:
    """Moves this whole, still single-threaded process; sockets that it has keep the network they were made in."""
    with Path(f"/proc/{pid}/ns/net").open("rb") as inside:
        _setns(inside.fileno())


def _setns(descriptor: int) -> None:
    """os.setns came with Python 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Inside:
    """Long-running programs in namespaces: started, looked at, ended (`Programs`)."""

    def __init__(self, space: Namespaces, log: Path, *, path: Sequence[Path] = ()) -> None:
        self.space = space
        self.log = log
        self.log.mkdir(parents=True, exist_ok=True)
        folders = [*map(str, path), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        self.environment = {
            "PATH": ":".join(folders),
            "HOME": "/run",
            "PYTHONPATH": str(SOURCES),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "C.UTF-8",
        }

    def start(self, name: str, argv: Sequence[str | Path]) -> None:
        """The program outlives this one: its parent is the first process inside."""
        shell = 'log=$1; shift; setsid "$@" </dev/null >>"$log" 2>&1 & echo $!'
        command = self.space.command("sh", "-c", shell, "sh", self.log / f"{name}.log", *argv)
        ran = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise Failed(f"{name} could not be started: {ran.stderr.strip()}", f"Look at {self.log}.")
        self._record(name).write_text(ran.stdout)

    def alive(self, name: str) -> bool:
        record = self._record(name)
        return record.exists() and processes.alive(self._inside(int(record.read_text())))

    def end(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        if self.alive(name):
            self.space.run("kill", f"-{how.value}", self._record(name).read_text().strip())
            waiting.until(f"{name} has ended", lambda: not self.alive(name), seconds=30)

    def _record(self, name: str) -> Path:
        """Its pid as it is inside, where another process cannot have got it unless the box was started anew, which clears this."""
        return self.log / f"{name}.pid"

    def _inside(self, pid: int) -> Path:
        """A process by its pid inside: the root folder of the namespaces shows their own /proc."""
        return Path(f"/proc/{self.space.pid}/root/proc/{pid}")
