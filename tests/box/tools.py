"""Programs from Debian: what the machine itself must have, and what is taken from sid and only unpacked into the cache.

The split is not free: sid's runc needs a newer C library than Debian 12 has, so runc is the machine's own; Debian 12 has containerd 1.6,
which cannot mount an image as a volume, so containerd is sid's (a Go program that runs on any C library).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from box import cache, machine, suite
from box.errors import Failed, NotThere

if TYPE_CHECKING:
    from pathlib import Path

    from box.progress import Progress

MACHINE = {
    "runc": "runc",
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "iptables": "iptables",
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "openssl": "openssl",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}
"""Program: package. None of these packages starts a service."""
SID = ("containerd", "containernetworking-plugins", "docker-registry", "busybox-static")
OLDEST_CONTAINERD = (2, 1)
"""The first that mounts an image as a volume."""


def needs() -> dict[str, str]:
    """The programs that must be there before `ensure`: for root it installs them."""
    _look_in_sbin()
    return {} if os.geteuid() == 0 else MACHINE


def ensure(progress: Progress) -> Path:
    """Installs and unpacks what is missing; returns the folder with sid's programs (`usr/bin/containerd`, `usr/lib/cni`)."""
    _look_in_sbin()
    missing = sorted({package for program, package in MACHINE.items() if not shutil.which(program)})
    if missing:
        machine.require_root(f"Installing {', '.join(missing)}")
        with progress.step(f"apt-get install {' '.join(missing)}"):
            _install(missing)
    return unpacked(progress)


def unpacked(progress: Progress) -> Path:
    """The folder with sid's programs, fetched when it is not there."""
    root = cache.folder() / "root"
    if not root.exists():
        cache.room_for(1, "unpacking containerd")
        with progress.step(f"fetching {', '.join(SID)} from Debian sid"):
            suite.unpack(SID, root, lambda unpacked: _check_containerd(unpacked / "usr/bin/containerd"))
    return root


def _look_in_sbin() -> None:
    """Where Debian has nft and dnsmasq, which an ordinary user's PATH leaves out."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(dict.fromkeys([*folders, "/usr/sbin", "/sbin"]))


def _install(packages: list[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    install = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", "install", "-y", "--no-install-recommends", *packages]
    for command in (["apt-get", "-q", "update"], install):
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise Failed(f"{' '.join(command)} failed: {ran.stderr.strip()[-500:]}", "Run it by hand, correct what it says, and try again.")


def _check_containerd(program: Path) -> None:
    ran = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\b(\d+)\.(\d+)\.\d+", ran.stdout)
    if not found:
        raise NotThere(
            f"Debian sid's containerd does not run here: {ran.stderr.strip()}", "Upgrade to the current Debian release: sid has moved on."
        )
    if (int(found[1]), int(found[2])) < OLDEST_CONTAINERD:
        raise NotThere(
            f"Debian offered containerd {found[0]}; 2.1 or later is needed.",
            "Remove ~/.cache/allod/debs and try again with another mirror.",
        )
