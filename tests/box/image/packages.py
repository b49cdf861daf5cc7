"""Python packages for images: pip and uv of our own, which take packages from where the machine's own pip takes them."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from box import cache
from box.errors import Failed, NotThere

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UV_VERSION = "0.13.9"
REACH = "Check that `pip download` reaches a package index from this machine (pip config list), then try again."


def settings() -> dict[str, str]:
    """What the machine's pip is told by files and by PIP_*: `index-url`, `extra-index-url`, `find-links`, `cert`, `proxy` ..."""
    return parse_settings(subprocess.run([*_pip(), "config", "list"], capture_output=True, text=True, check=True).stdout)


def parse_settings(listed: str) -> dict[str, str]:
    """`pip config list` as data: the environment overrules the files, and the section `install` overrules `global`."""
    pairs = [line.split("=", 1) for line in listed.splitlines() if "=" in line]
    rank = {"global": 0, "download": 1, "install": 2, ":env:": 3}
    found: dict[str, str] = {}
    for key, value in sorted(pairs, key=lambda pair: rank.get(pair[0].rpartition(".")[0], -1)):
        section, _, name = key.rpartition(".")
        if section in rank:
            found[name] = " ".join(str(ast.literal_eval(value)).split())
    return found


def download(folder: Path, requirement: str, *, python: str | None = None, platform: str | None = None) -> Path:
    """Downloads one wheel, without what it requires, into an empty folder; `python` and `platform` where they are not this machine's."""
    target = ["--only-binary=:all:", *(["--python-version", python] if python else []), *(["--platform", platform] if platform else [])]
    _run([*_pip(), "download", "--quiet", "--no-deps", "--dest", str(folder), *target, requirement], requirement)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(target: Path, requirements: Sequence[str], *options: str, python: str) -> None:
    """Installs packages for another Python into a folder, from wheels alone."""
    asked = settings()
    chosen = ["--quiet", "--target", str(target), "--python-version", python, "--only-binary=:all:", *find_links(asked)]
    _run([str(_uv()), "pip", "install", *chosen, *options, *requirements], " ".join(requirements), uv_variables(asked))


def uv_variables(asked: Mapping[str, str]) -> dict[str, str]:
    """pip's settings by uv's names: uv reads neither pip.conf nor PIP_*."""
    names = {
        "UV_DEFAULT_INDEX": "index-url",
        "UV_INDEX": "extra-index-url",
        "UV_INSECURE_HOST": "trusted-host",
        "SSL_CERT_FILE": "cert",
        "HTTPS_PROXY": "proxy",
    }
    told = {uv: asked[pip] for uv, pip in names.items() if asked.get(pip)}
    # With more than one index pip takes the best version of all; uv by itself takes the first index that knows the name.
    return {**told, **({"UV_INDEX_STRATEGY": "unsafe-best-match"} if "UV_INDEX" in told else {})}


def find_links(asked: Mapping[str, str]) -> list[str]:
    """pip's find-links as options, since uv's own variable would give way to the recipe's; pip forgives folders that are not there."""
    places = [place for place in asked.get("find-links", "").split() if "://" in place or Path(place).is_dir()]
    return [word for place in places for word in ("--find-links", place)]


def _run(command: Sequence[str], what: str, variables: Mapping[str, str] | None = None) -> None:
    ours = {"UV_CACHE_DIR": str(cache.folder() / "uv"), "UV_HTTP_TIMEOUT": "180", **(variables or {})}
    environment = {**ours, **os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}  # what the person has set for uv himself stays
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Failed(f"{what} could not be taken from the package index: {ran.stderr.strip()[-2000:]}", REACH)


def _tools() -> Path:
    """A virtual environment of our own: the machine's Python may have no pip, or one that refuses to install."""
    folder = cache.folder() / "tools"
    if not (folder / "bin" / "pip").exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(folder)], capture_output=True, text=True, check=False)
        if made.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            raise NotThere(f"python3 -m venv failed: {made.stdout.strip()}{made.stderr.strip()}", "apt-get install python3-venv")
    return folder


def _pip() -> list[str]:
    return [str(_tools() / "bin" / "python"), "-m", "pip"]


def _uv() -> Path:
    """uv in the version that the recipes were measured with: it resolves and unpacks 130 packages in seconds."""
    program = _tools() / "bin" / "uv"
    asked = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False).stdout if program.exists() else ""
    if UV_VERSION not in asked:
        wanted = f"uv=={UV_VERSION}"
        ran = subprocess.run([*_pip(), "install", "--quiet", wanted], capture_output=True, text=True, check=False)
        if ran.returncode:
            raise Failed(f"{wanted} could not be installed: {ran.stderr.strip()[-2000:]}", REACH)
    return program
