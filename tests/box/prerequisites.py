"""What a command needs of this machine: tried before anything is fetched, and all that is missing is said in one sentence."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from box.errors import NotThere

if TYPE_CHECKING:
    from collections.abc import Mapping

GO = {"go": "https://go.dev/dl"}
"""The program that builds need, beside Debian's: its version counts, and it comes from elsewhere."""
OLDEST_GO = (1, 21)
"""From here on Go fetches by itself the version that a go.mod asks for."""
INSTALL_GO = "Install Go 1.26 or later from https://go.dev/dl and put its bin folder into PATH."


def check(purpose: str, programs: Mapping[str, str]) -> None:
    """Refuses when a program is absent; `programs` says which Debian package has it."""
    missing = {program: package for program, package in programs.items() if program not in GO and not shutil.which(program)}
    go = lack_of_go() if GO.keys() & programs.keys() else ""
    lacking = ", ".join([*missing, *([go] if go else [])])
    if lacking:
        install = [f"apt-get install {' '.join(dict.fromkeys(missing.values()))}"] if missing else []
        raise NotThere(
            f"{purpose} needs {lacking}, which this machine does not have.", "\n  ".join([*install, *([INSTALL_GO] if go else [])])
        )


def lack_of_go() -> str:
    """What this machine lacks when it has no Go, or one that cannot fetch a newer one by itself; otherwise empty."""
    if not shutil.which("go"):
        return "Go"
    said = subprocess.run(
        ["go", "env", "GOVERSION"], env={**os.environ, "GOTOOLCHAIN": "local"}, cwd="/", capture_output=True, text=True, check=False
    ).stdout
    found = re.match(r"go(\d+)\.(\d+)", said)
    if not found or (int(found[1]), int(found[2])) < OLDEST_GO:
        return f"a newer Go than {said.strip() or 'one that does not tell its version'}"
    return ""
