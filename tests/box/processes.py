"""Looking at the machine's processes. A box and its nodes are found by their command line: there is no pid file that could lie."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from box import waiting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

EXEC_MS = 100
"""So long, in milliseconds, an empty line is read again: an exec lasts microseconds, but may wait for a processor in the middle of it.
No longer, because a program may as well have emptied its own line."""


def commands() -> Iterator[tuple[int, list[str]]]:
    """(pid, command line) of every process."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = _command_line(folder)
            except OSError:  # it has just ended
                continue
            yield int(folder.name), [os.fsdecode(word) for word in line.split(b"\0")[:-1]]


def _command_line(folder: Path) -> bytes:
    """Empty for a thread of the kernel and for what has ended. In an exec it is empty too, and then it is read again."""
    for _ in range(EXEC_MS):
        if line := (folder / "cmdline").read_bytes():
            return line
        if not _runs_a_program(folder):
            break
        time.sleep(0.001)
    return b""


def _runs_a_program(folder: Path) -> bool:
    try:
        (folder / "exe").readlink()
    except OSError:
        return False
    return True


def find(*phrase: str) -> list[int]:
    """Processes with exactly these words next to each other in their command line, oldest pid first."""
    wanted = list(phrase)
    return sorted(pid for pid, words in commands() if any(words[at : at + len(wanted)] == wanted for at in range(len(words))))


def spawn(argv: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, descriptors: Sequence[int] = ()) -> None:
    """Starts a program that outlives this one and is no child of it. It shows in `commands` from now on, until it ends."""
    with log.open("ab") as out:
        subprocess.run(
            ["setsid", "--fork", *argv],
            cwd="/",
            env=environment,
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            check=True,
        )


def children() -> dict[int, list[int]]:
    """Every process with those that it is the parent of."""
    found: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue
            parent = int(stat.rpartition(")")[2].split()[1])
            found.setdefault(parent, []).append(int(folder.name))
    return found


def tree(root: int) -> list[int]:
    """That process and all below it."""
    below = children()
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += below.get(pid, ())
    return found


def kill(pids: list[int]) -> None:
    """Ends them at once and waits until they are gone."""
    for pid in pids:
        send(pid, signal.SIGKILL)
    waiting.until(f"processes {pids} have ended", lambda: not any(alive(Path(f"/proc/{pid}")) for pid in pids), seconds=30)


def alive(folder: Path) -> bool:
    """Whether the process of that folder of a /proc runs. One that nobody has waited for yet does not.

    A first process with threads is the exception: its leader shows as a zombie while another thread still ends all the others in there.
    """
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    state, threads = fields[0], int(fields[17])
    return state != "Z" or threads > 1


def send(pid: int, how: signal.Signals) -> bool:
    """False when it had ended before."""
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return False
    return True


def memory(pid: int) -> int:
    """Bytes that it really costs (PSS): shared pages are divided among those who share them. 0 when it has ended."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))


def name(pid: int) -> str:
    """The program that it is: `kube kubelet ...` is kubelet, `python -m box.agent dns ...` is dns."""
    try:
        words = [os.fsdecode(word) for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
    except OSError:
        return "?"
    program = Path(words[0]).name
    if program == "kube" and len(words) > 1:
        return words[1]
    if "box.agent" in words[:-1]:
        return words[words.index("box.agent") + 1]
    return program or "?"
