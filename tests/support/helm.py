"""Helm as a person uses it: the real program, of the version that the box builds, started for each call."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from box import gobuild

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "allod"
MINIMAL = CHART / "ci" / "minimal-values.yaml"
FULL = CHART / "ci" / "full-values.yaml"


class HelmError(AssertionError):
    """Helm refused. The text is what it told the person."""


@dataclass(frozen=True, slots=True)
class Helm:
    """One helm, and the cluster and namespace that it talks to."""

    home: Path
    """Folder for helm's own files, so that a person's repositories and plugins change nothing."""
    kubeconfig: Path | None = None
    namespace: str = "allod-system"

    def run(self, *words: str | Path) -> str:
        """What helm printed. Raises HelmError with what it said when it ends with an error."""
        private = {f"HELM_{kind}_HOME": str(self.home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "KUBECONFIG": str(self.kubeconfig or self.home / "none"),
            **private,
        }
        command = [str(gobuild.built().helm), *map(str, words)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)
        if done.returncode:
            raise HelmError(f"{' '.join(command)}\n{done.stderr}{done.stdout}")
        return done.stdout

    def template(self, *values: str | Path, release: str = "allod") -> list[dict[str, Any]]:
        """What `helm template` renders: one object each, in the order of the templates."""
        return [document for document in yaml.safe_load_all(self.text(*values, release=release)) if document]

    def text(self, *values: str | Path, release: str = "allod") -> str:
        """The same as text. A value is a file, `key=value` as for --set-json, or a flag."""
        return self.run("template", release, CHART, "--namespace", self.namespace, *flags(values))

    def install(self, *values: str | Path, release: str = "allod") -> str:
        """What helm says to the person, NOTES.txt included."""
        return self.run("install", release, CHART, "--namespace", self.namespace, "--create-namespace", *flags(values))

    def upgrade(self, *values: str | Path, chart: Path = CHART, release: str = "allod") -> str:
        return self.run("upgrade", release, chart, "--namespace", self.namespace, *flags(values))

    def uninstall(self, *more: str, release: str = "allod") -> str:
        return self.run("uninstall", release, "--namespace", self.namespace, *more)


def flags(values: tuple[str | Path, ...]) -> list[str]:
    """--values for a file, --set-json for `key=value`, and a flag as it is."""
    return [word for value in values for word in _flag(value)]


def _flag(value: str | Path) -> tuple[str, ...]:
    if isinstance(value, Path):
        return ("--values", str(value))
    return (value,) if value.startswith("--") else ("--set-json", value)
