"""docs/volumes.md as its reader would do it, with a small model in the folder of the large one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from box import busybox, gobuild
from box.image.model import GGUF_FOLDER
from cluster.models import Model, chat
from cluster.space import pod, restricted
from tutorial.page import Command, steps
from tutorial.shell import Shell

if TYPE_CHECKING:
    from cluster.release import Release
    from cluster.space import Space

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = "docs/examples/volumes"
HERE = (("docker.io/library/busybox:1.37", busybox.NAME), ("ReadWriteMany", "ReadWriteOnce"), ("200Gi", "1Gi"))
"""A box pulls nothing, and its volumes belong to a node."""


def checkout(folder: Path) -> None:
    """What the reader has: the manifests of the page, set for this cluster, and a model in a folder."""
    (folder / EXAMPLES).mkdir(parents=True)
    for path in (DOCS / "examples" / "volumes").iterdir():
        text = path.read_text()
        for theirs, ours in HERE:
            text = text.replace(theirs, ours)
        (folder / EXAMPLES / path.name).write_text(text)
    shutil.copytree(GGUF_FOLDER.path, folder / "qwen3-32b")


def test_a_model_gets_onto_a_volume_as_the_page_says_and_answers(space: Space, release: Release, tmp_path: Path) -> None:
    space.kubectl("label", "namespace", space.name, "pod-security.kubernetes.io/enforce=restricted")
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(release.box.kubeconfig.read_text())
    checkout(tmp_path)
    commands = [step for step in steps((DOCS / "volumes.md").read_text()) if isinstance(step, Command)]
    assert len(commands) == 7
    path = f"{gobuild.built().folder}:{os.environ['PATH']}"
    with Shell(tmp_path, {**os.environ, "PATH": path, "KUBECONFIG": str(kubeconfig)}) as shell:
        assert shell.run(f"kubectl config set-context --current --namespace={space.name}", 10)[1] == 0
        for command in commands:
            printed, status = shell.run(command.text, 180)
            missing = command.missing(printed)
            assert status == 0, printed
            assert missing is None, f"$ {command.text}\nshows {missing!r}, but printed:\n{printed}"
    model = Model.apply(space, chat(model={"uri": "pvc://models/qwen3-32b/model.gguf"}))
    model.wait("ModelAvailable", "True")
    model.wait("Ready", "True")
    assert space.kubectl("get", "pods", "-o", "name").count("loader") == 0
    space.run(restricted(pod("client")))
    assert model.ask().strip()
