"""One bash in which a page's commands run one after the other, as in a reader's terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import uuid
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class Shell:
    """Variables, the folder and jobs in the background last from command to command; all of it ends with the context."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str, seconds: float) -> tuple[str, int]:
        """What the command printed, errors included, and its exit status. A command that outlasts the time ends the shell: status -9."""
        end = f"--{uuid.uuid4().hex}--"
        bash, given_up = self._bash, threading.Timer(seconds, self._kill)
        assert bash.stdin
        assert bash.stdout
        given_up.start()
        try:
            bash.stdin.write(f"{command}\necho {end} $?\n")
            bash.stdin.flush()
            printed: list[str] = []
            for line in bash.stdout:
                text, found, status = line.partition(end)
                printed.append(text)
                if found:
                    return "".join(printed), int(status)
            return "".join(printed), bash.wait() or -9
        finally:
            given_up.cancel()

    def _kill(self) -> None:
        os.killpg(self._bash.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bash.poll() is None:
            self._kill()
        self._bash.wait()
        for stream in (self._bash.stdin, self._bash.stdout):
            if stream:
                stream.close()
