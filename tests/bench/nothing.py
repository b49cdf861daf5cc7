"""What a new user waits for the first time: everything fetched and built again, into an empty cache that is removed afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from bench.publication import ROOT, Figure, publish
from box import cache, machine, scratch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GIGABYTES = 14
ELSEWHERE = ("GOCACHE", "GOMODCACHE", "GOPATH", "PIP_CACHE_DIR", "UV_CACHE_DIR")
"""Where a person may have caches of their own: none of them is used."""
STEPS = {
    "Kubernetes, etcd, Helm and kwok built, containerd fetched": ("box", "prepare"),
    "the three images of the demo": ("box.image", "build", "operator", "llama.cpp", "model-gguf"),
    "two nodes Ready": ("box", "up"),
}


def measured(steps: Mapping[str, Sequence[str]]) -> tuple[dict[str, float], int]:
    """Seconds of each step in turn, and the bytes of the cache in the end. Raises CalledProcessError where one fails."""
    took: dict[str, float] = {}
    with scratch.folder("nothing-") as folder:
        environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE} | {"XDG_CACHE_HOME": str(folder)}

        def run(*words: str) -> None:
            subprocess.run([sys.executable, "-m", *words], cwd=ROOT, env=environment, check=True)

        try:
            for name, words in steps.items():
                began = time.monotonic()
                run(*words)
                took[name] = time.monotonic() - began
        finally:
            run("box", "down")
        size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return took, size


def figures() -> list[Figure]:
    """One run: the network is the larger part of its noise, and a second run would not lessen that."""
    machine.require_root("Measuring a cluster with nodes")
    cache.room_for(GIGABYTES, "a second cache, for as long as this runs,")
    took, size = measured(STEPS)
    each = [Figure(f"from nothing: {name}", round(seconds, 1), "s") for name, seconds in took.items()]
    whole = Figure("from nothing to two nodes Ready, together", round(sum(took.values())), "s")
    return [*each, whole, Figure("the cache then, Go's own caches included", round(size / 2**20), "MiB")]


if __name__ == "__main__":
    print(publish("nothing", figures()))
