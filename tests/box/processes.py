"""Looking at the machine's processes. A box and its nodes are found by their command line: there is no pid file that could lie."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from box import waiting

if TYPE_CHECKING:
    from collections.abc import Iterator


def commands() -> Iterator[tuple[int, list[str]]]:
    """(pid, command line) of every process."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")[:-1]
            except OSError:  # it has just ended
                continue
            yield int(folder.name), [os.fsdecode(word) for word in words]


def find(*phrase: str) -> list[int]:
    """Processes with exactly these words next to each other in their command line, oldest pid first."""
    wanted = list(phrase)
    return sorted(pid for pid, words in commands() if any(words[at : at + len(wanted)] == wanted for at in range(len(words))))


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
    """Whether the process of that folder of a /proc runs; one that has ended and that its parent has not looked at yet does not."""
    try:
        stat = (folder / "stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


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
    """The program, by the first words of its command line that say what it is (`kube kubelet` is kubelet, `python -m box.agent dns` is dns)."""
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
