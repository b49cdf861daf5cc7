"""One command at a time changes a box."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from box.errors import Taken

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from box.progress import Progress


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """Refuses when another command holds the box of that state folder. The kernel lets go when the holder ends, however it ends."""
    state.parent.mkdir(parents=True, exist_ok=True)
    with state.with_name(state.name + ".lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Taken(
                f"Another command (process {lock.read()}) is changing the box in {state}.", "Wait until it has ended, then try again."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextmanager
def in_turn(path: Path, progress: Progress, doing: str) -> Iterator[None]:
    """Waits, and says so, while another process does the same: two builds in one folder would destroy each other's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"another process {doing}: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
