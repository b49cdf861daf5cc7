"""Programs that run on behalf of this process: started, looked at, ended. Used by the control plane alone; a box has namespaces.py."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING, Protocol

from box.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Programs(Protocol):
    """A place in which long-running programs can be started."""

    log: Path
    """The folder with NAME.log of each."""

    def start(self, name: str, argv: Sequence[str | Path]) -> None:
        """Starts a program that goes on until it is ended."""

    def alive(self, name: str) -> bool:
        """Whether it runs."""

    def end(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """Ends it and waits until it has ended."""


class Children:
    """Children of this process. The kernel ends them should this process be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.log.mkdir(parents=True, exist_ok=True)
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, argv: Sequence[str | Path]) -> None:
        with (self.log / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *argv],
                cwd=self.folder,
                env={**os.environ, "HOME": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the person's program, not for these
            )

    def alive(self, name: str) -> bool:
        return name in self.running and self.running[name].poll() is None

    def end(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        if program := self.running.pop(name, None):
            program.send_signal(how)
            program.wait()

    def end_all(self) -> None:
        """Nothing here is worth a graceful end: an API server whose etcd is gone takes up to 13 s for it."""
        for program in self.running.values():
            program.kill()
        for program in self.running.values():
            program.wait()
        self.running.clear()


def check(programs: Programs, name: str) -> None:
    """Raises `Failed` with the end of its log when a program that should run has ended."""
    if not programs.alive(name):
        log = programs.log / f"{name}.log"
        lines = log.read_text(errors="replace").splitlines()[-8:] if log.exists() else []
        raise Failed(f"{name} ended by itself:\n    " + "\n    ".join(lines), f"The whole log: {log}")
