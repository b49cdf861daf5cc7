"""The cgroups of a box: one folder in each hierarchy, with one for each node in it."""

from __future__ import annotations

import contextlib
import hashlib
from functools import partial
from typing import TYPE_CHECKING

from box import machine, waiting

if TYPE_CHECKING:
    from pathlib import Path

NEEDED = ("cpu", "cpuset", "io", "memory", "pids")
"""The controllers that a kubelet asks for with cgroup version 2."""


def name(state: Path) -> str:
    """A name for the box with that state folder: two boxes on one machine do not meet."""
    return "allod-" + hashlib.sha256(str(state).encode()).hexdigest()[:8]


def make(box: str, node: str) -> None:
    """The node's folder in each hierarchy, empty: the kubelet's cAdvisor waits 3 s for each dead container's folder that a crash left."""
    remove(f"{box}/{node}")
    for tree in machine.cgroup_trees():
        (tree / box / node).mkdir(parents=True, exist_ok=True)
        if (tree / "cgroup.controllers").exists():  # version 2: a folder has the controllers that the one above it gives away
            for folder in (tree, tree / box):
                _give(folder)


def _give(folder: Path) -> None:
    """Gives every needed controller to the folders below, where it is not given yet."""
    control = folder / "cgroup.subtree_control"
    there, given = (folder / "cgroup.controllers").read_text().split(), control.read_text().split()
    for controller in NEEDED:
        if controller in there and controller not in given:
            control.write_text(f"+{controller}")


def remove(path: str) -> None:
    """That folder and all below it, in each hierarchy. The kernel takes a moment to let go of a killed process."""
    for tree in machine.cgroup_trees():
        top = tree / path
        waiting.until(f"the cgroup {top} is removed", partial(_removed, top), seconds=20)


def _removed(top: Path) -> bool:
    for folder in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()
    with contextlib.suppress(FileNotFoundError):
        top.rmdir()
    return True


def processes(box: str, container: str) -> list[int]:
    """The processes of a container, by its id, as the machine numbers them."""
    for tree in machine.cgroup_trees():
        for folder in (tree / box).glob(f"**/*{container}*"):
            if found := [int(line) for line in (folder / "cgroup.procs").read_text().split()]:
                return sorted(found)
    return []
