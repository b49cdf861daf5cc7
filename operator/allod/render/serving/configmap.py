"""The programs of ours in the pods of one revision."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from allod.domain.names import child
from allod.render.metadata import metadata

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.manifest import Manifest


def watchdog_configmap(model: ModelDeployment, revision: str, *, nodes: int = 1) -> Manifest:
    """Immutable: a pod that restarts finds the watchdog that it had, whatever operator runs by then. Ranks have a program of their own."""
    ranks = {"rank.py": _program("rank")} if nodes > 1 else {}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(model, child(model.metadata.name, revision), revision),
        "immutable": True,
        "data": {"watchdog.py": _program("watchdog")} | ranks,
    }


@cache
def _program(name: str) -> str:
    return files("allod.render.serving").joinpath(f"{name}.txt").read_text("utf-8")
