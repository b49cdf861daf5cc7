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


def watchdog_configmap(model: ModelDeployment, revision: str, *, keeps_adapters: bool, nodes: int = 1, asks_hub: bool = False) -> Manifest:
    """Immutable: a pod that restarts finds the watchdog that it had, whatever operator runs by then.

    Ranks have a program of their own, and so has who downloads.
    """
    keeper = {"allod_adapters.py": _program("adapters.txt")} if keeps_adapters else {}
    ranks = {"rank.py": _program("rank.txt")} if nodes > 1 else {}
    asks = {"hub.py": _program("hub.txt")} if asks_hub else {}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(model, child(model.metadata.name, revision), revision),
        "immutable": True,
        "data": {"watchdog.py": _program("watchdog.txt"), "sitecustomize.py": _program("cause.txt")} | keeper | ranks | asks,
    }


@cache
def _program(name: str) -> str:
    return files("allod.render.serving").joinpath(name).read_text("utf-8")
