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

WATCHDOG = {
    "watchdog.py": "watchdog.txt",
    "allod_verdict.py": "verdict.txt",
    "allod_exchange.py": "exchange.txt",
    "sitecustomize.py": "cause.txt",
}
HUB = {
    "hub.py": "hub.txt",
    "allod_asking.py": "asking.txt",
    "allod_access.py": "access.txt",
    "allod_refusal.py": "refusal.txt",
    "allod_cache.py": "cache.txt",
}


def watchdog_configmap(model: ModelDeployment, revision: str, *, keeps_adapters: bool, nodes: int = 1, asks_hub: bool = False) -> Manifest:
    """Immutable: a pod that restarts finds the watchdog that it had, whatever operator runs by then.

    Ranks have a program of their own, and so has who downloads.
    """
    watchdog = {name: _program(text) for name, text in WATCHDOG.items()}
    keeper = {"allod_adapters.py": _program("adapters.txt")} if keeps_adapters else {}
    ranks = {"rank.py": _program("rank.txt")} if nodes > 1 else {}
    asks = {name: _program(text) for name, text in HUB.items()} if asks_hub else {}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(model, child(model.metadata.name, revision), revision),
        "immutable": True,
        "data": watchdog | keeper | ranks | asks,
    }


@cache
def _program(name: str) -> str:
    return files("allod.render.serving").joinpath(name).read_text("utf-8")
