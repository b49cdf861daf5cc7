"""Prometheus and promtool of Debian sid, only unpacked into the cache: no root, and nothing is installed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from box import cache, suite
from box.errors import NotThere
from box.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = ("prometheus", "promtool")
"""36 MB to fetch, 195 MB unpacked; Go programs that run on any C library."""


def unpacked(progress: Progress | None = None) -> Path:
    """The folder with `prometheus` and `promtool`, fetched when it is not there."""
    root = cache.folder() / "prometheus"
    if not root.exists():
        cache.room_for(0.3, "unpacking Prometheus")
        with (progress or Progress()).step(f"fetching {' and '.join(PACKAGES)} from Debian sid"):
            suite.unpack(PACKAGES, root, _check)
    return root / "usr/bin"


def _check(root: Path) -> None:
    for program in PACKAGES:
        ran = subprocess.run([root / "usr/bin" / program, "--version"], capture_output=True, text=True, check=False)
        if ran.returncode:
            raise NotThere(f"Debian sid's {program} does not run here: {ran.stderr.strip()}", "Upgrade to the current Debian release.")
