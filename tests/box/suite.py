"""apt with the lists of another Debian suite, kept in the cache: the machine's own apt is neither asked nor changed."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from box import cache, machine
from box.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def apt(suite: str, *args: str, cwd: Path | None = None) -> str:
    """Runs `apt-get ARGS` with the private lists of that suite and returns its output.

    `apt("sid", "update")`, then `apt("sid", "download", "containerd", cwd=folder)` or `apt("sid", "indextargets")`.
    """
    ran = subprocess.run([*_command(suite), *args], cwd=cwd, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Failed(
            f"apt-get {' '.join(args)} with the lists of {suite} failed: {ran.stderr.strip() or ran.stdout.strip()}",
            f"Check that this machine reaches {machine.debian_mirror()}, then try again.",
        )
    return ran.stdout


def unpack(packages: Sequence[str], root: Path, check: Callable[[Path], None]) -> None:
    """Unpacks packages of sid into a new folder, which appears when `check` has found nothing wrong with it. Needs no root.

    The packages are kept: sid moves on, and a cleared folder should give the same programs again.
    """
    debs = cache.folder() / "debs"
    debs.mkdir(exist_ok=True)
    absent = [package for package in packages if not list(debs.glob(f"{package}_*.deb"))]
    if absent:
        apt("sid", "update")
        apt("sid", "download", *absent, cwd=debs)
    unfinished = root.with_name(f"{root.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    for package in packages:
        newest = max(debs.glob(f"{package}_*.deb"), key=lambda path: path.stat().st_mtime)
        subprocess.run(["dpkg", "-x", newest, unfinished], check=True)
    check(unfinished)
    unfinished.rename(root)


def _command(suite: str) -> list[str]:
    """apt-get with every folder of its own, made at the first call."""
    home = cache.folder() / "apt" / suite
    for part in ("state/lists/partial", "cache/archives/partial", "preferences.d"):
        (home / part).mkdir(parents=True, exist_ok=True)
    # An empty list of installed packages: everything looks absent, so nothing is held back by what the machine has.
    (home / "status").touch()
    (home / "sources.list").write_text(f"deb [signed-by={KEYRING}] {machine.debian_mirror()} {suite} main\n")
    settings = {
        "Dir::State": home / "state",
        "Dir::State::status": home / "status",
        "Dir::Cache": home / "cache",
        "Dir::Etc::sourcelist": home / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferencesparts": home / "preferences.d",
        "APT::Architecture": machine.architecture(),
        "Acquire::Languages": "none",
    }
    if os.geteuid() == 0:
        settings["APT::Sandbox::User"] = "root"  # the user _apt cannot write into a person's cache
    return ["apt-get", "-q", *(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))]
