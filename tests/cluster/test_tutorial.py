"""docs/tutorial.md as its reader would work through it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from box import gobuild
from tutorial.page import File, steps
from tutorial.shell import Shell

if TYPE_CHECKING:
    from cluster.release import Release
    from cluster.space import Space

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"


def test_the_tutorial_shows_what_its_reader_sees(space: Space, release: Release, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(release.box.kubeconfig.read_text())
    programs = f"{gobuild.built().folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    with Shell(tmp_path, {**os.environ, "PATH": programs, "KUBECONFIG": str(kubeconfig), "HOME": str(tmp_path)}) as shell:
        assert shell.run(f"kubectl config set-context --current --namespace={space.name}", 10)[1] == 0
        for step in steps(PAGE.read_text()):
            if isinstance(step, File):
                (tmp_path / step.name).write_text(step.text)
                continue
            output, _ = shell.run(step.text, 180)
            missing = step.missing(output)
            assert missing is None, f"{PAGE.name}:{step.line}: $ {step.text}\nshows {missing!r}, but printed:\n{output}"
