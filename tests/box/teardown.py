"""The end of a box: one kill ends every process, mount, interface and socket in it; folders are what is left to remove."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from box import cgroups, door, processes

if TYPE_CHECKING:
    from pathlib import Path

KEPT = "log"
MARK = "box.sh-of"
"""In the command line of the `unshare` that makes a box."""


def tear_down(state: Path) -> bool:
    """Leaves nothing but the logs, whatever state the box was in; False when there was nothing."""
    firsts = first_processes(state)
    found = bool(firsts) or any(path.name != KEPT for path in state.glob("*"))
    # A process that is killed before the namespaces exist, or after, takes its children with it (unshare --kill-child).
    processes.kill([*(opened.pid for opened in door.doors(state)), *firsts])
    cgroups.remove(cgroups.name(state))
    for path in state.glob("*"):
        if path.is_dir() and path.name != KEPT:
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()
    return found


def first_processes(state: Path) -> list[int]:
    """`unshare` that waits for the box's first process, and that process, at whatever point it is."""
    return sorted({*processes.find(MARK, str(state)), *processes.find("box", str(state))})
