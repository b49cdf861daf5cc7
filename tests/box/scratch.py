"""Folders in the cache that live as long as a command: what a killed one leaves is found again, and removed by `down`."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from box import cache, cgroups

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIXES = ("nothing-", "bench-", "box-that-ends-")
"""Of a second cache, of the boxes that are measured, of the boxes that tests end."""
RANDOM = "?" * 8
"""What tempfile puts behind a prefix. A person may have a box by the name of bench-mine."""
STATES = ("box", "allod/box")
"""Where in such a folder a box may be."""


@contextmanager
def folder(prefix: str) -> Iterator[Path]:
    """A new folder with a name that begins so, removed at the end. This process holds a lock on it meanwhile."""
    with _turn():
        made = tempfile.TemporaryDirectory(dir=cache.folder(), prefix=prefix)
        held = _lock(Path(made.name))
    try:
        with made as name:
            yield Path(name)
    finally:
        if held is not None:
            os.close(held)


def remove_left() -> list[Path]:
    """Removes such folders that nobody holds and no process speaks of, with what is left of boxes in them; returns them."""
    with _turn():
        found = [path for prefix in PREFIXES for path in cache.folder().glob(prefix + RANDOM) if path.is_dir() and not path.is_symlink()]
        left = sorted(path for path in found if _is_free(path) and not _users(path))
        for path in left:
            for state in STATES:
                cgroups.remove(cgroups.name(path / state))
            shutil.rmtree(path)
    return left


@contextmanager
def _turn() -> Iterator[None]:
    """Between the making of a folder and its lock nobody may look at it."""
    with (cache.folder() / "scratch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lock(path: Path) -> int | None:
    """A descriptor that holds the folder, or None when another process does. The kernel lets go when the holder ends, however it ends."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _is_free(path: Path) -> bool:
    held = _lock(path)
    if held is not None:
        os.close(held)
    return held is not None


def _users(path: Path) -> list[int]:
    """Other processes with the folder in their command line, their environment or as their place: what a killed one started."""
    return [
        int(each.name)
        for each in Path("/proc").iterdir()
        if each.name.isdigit() and int(each.name) != os.getpid() and _speaks_of(each, path)
    ]


def _speaks_of(process: Path, path: Path) -> bool:
    try:
        texts = [(process / name).read_bytes() for name in ("cmdline", "environ")]
        place = (process / "cwd").readlink()
    except OSError:  # it has just ended
        return False
    return place.is_relative_to(path) or any(os.fsencode(path) in text for text in texts)
