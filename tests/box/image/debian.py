"""Root file systems from Debian packages, by mmdebstrap."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from box import machine
from box.errors import Failed
from box.suite import KEYRING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PROGRAMS = {"mmdebstrap": "mmdebstrap"}
"""What root() needs on the machine, besides being root."""

NOT_READ = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
"""Nobody reads these in a container."""


def root(out: Path, suite: str, packages: Iterable[str], *, variant: str, without: Iterable[str] = NOT_READ, hook: str = "") -> None:
    """Makes the root file system `out`: a folder, or a tar when its name ends in .tar.

    `variant` extract unpacks the packages and runs none of their scripts: no dpkg, no shell by itself. minbase is a working Debian.
    `hook` is a shell command that gets the root as $1.
    """
    mirror = machine.debian_mirror()
    options = [
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in without),
        *([f"--customize-hook={hook}"] if hook else []),
        f"--include={','.join(packages)}",
    ]
    devices = ["--skip=output/dev"] if out.suffix == ".tar" else []  # a container gets its own
    # sid's and forky's lists are renewed several times a day, but a mirror may lag behind their Valid-Until.
    leave = ["--aptopt=Acquire::Check-Valid-Until false", "--aptopt=Apt::Install-Recommends false", "--dpkgopt=force-unsafe-io"]
    source = f"deb [signed-by={KEYRING}] {mirror} {suite} main"
    command = ["mmdebstrap", "--quiet", "--mode=root", f"--variant={variant}", *leave, *devices, *options, suite, str(out), source]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Failed(
            f"mmdebstrap could not make a root file system of {suite}: {ran.stderr.strip()[-2000:]}",
            f"Check that this machine reaches {mirror}, and that the disk has space, then try again.",
        )
