"""Where the box keeps its files: nothing of it lies in the repository or elsewhere on the machine.

~/.cache/allod/            XDG_CACHE_HOME is honoured
    apt/SUITE/             private apt lists
    bin/HASH/              what was built from the Go sources with that hash
    go/build/  go/mod/     Go's own caches, unless GOCACHE, GOMODCACHE or GOPATH say otherwise
    debs/  root/           Debian packages of another suite, and where they are unpacked
    prometheus/            Prometheus and promtool, unpacked
    images/*.tar           container images
    nothing-* bench-* box-that-ends-*  of a command that runs, or was killed: `down` removes these
    box/                   the state of the box that `python3 tests/box up` runs; another name with ALLOD_BOX
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from box.errors import BoxError

HIDDEN = ("/run", "/var/lib", "/var/log")
"""A node has folders of its own at these places (init/node.sh), so nothing that it needs may lie there."""


def folder() -> Path:
    """The cache of the project; made when it is not there."""
    made = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "allod"
    try:
        made.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BoxError(
            f"The cache {made} cannot be made: {error.strerror}.", "Set XDG_CACHE_HOME to a folder that this user may write to."
        ) from error
    return made


def state() -> Path:
    """The folder of the box that is meant: ALLOD_BOX is its name, for whoever wants a second one beside the first."""
    return folder() / (os.environ.get("ALLOD_BOX") or "box")


def images() -> Path:
    """Container images as .tar files."""
    made = folder() / "images"
    made.mkdir(exist_ok=True)
    return made


def seen_by_nodes(path: Path) -> Path:
    """The same path, or a refusal: a node must be able to read it."""
    for hidden in HIDDEN:
        if path.resolve().is_relative_to(hidden):
            raise BoxError(
                f"{path} lies under {hidden}, which each node of the box replaces by a folder of its own.",
                "Set XDG_CACHE_HOME to a folder elsewhere.",
            )
    return path.resolve()


def room_for(gigabytes: float, purpose: str) -> None:
    """Refuses early when the disk of the cache cannot hold what comes."""
    free = shutil.disk_usage(folder()).free / 1e9
    if free < gigabytes:
        raise BoxError(
            f"The disk of {folder()} has {free:.1f} GB free; {purpose} takes about {gigabytes:g} GB.",
            "Free some space, or set XDG_CACHE_HOME to a folder on a larger disk.",
        )
