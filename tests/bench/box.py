"""The cluster in a box: how long it takes, and what memory."""

from __future__ import annotations

from typing import Any, cast

from bench.publication import Figure, publish
from box.bench import measure
from box.progress import Progress


def figures() -> list[Figure]:
    """Medians of three runs, best and worst beside them."""
    found = cast("dict[str, Any]", measure(Progress()))

    def spread(name: str, what: str, goal: float | None = None) -> Figure:
        best, median, worst = found[name]
        return Figure(what, round(median, 1), "s", goal, f"best {best:.1f} s, worst {worst:.1f} s")

    return [
        spread("fromCacheToTwoNodesReadySeconds", "from the cache to two nodes Ready", 10),
        spread("controlPlaneAloneSeconds", "control plane alone, until a Pod may be made", 6),
        spread("downSeconds", "down"),
        Figure("memory of two nodes and the control plane (sum of PSS)", found["twoNodesMemoryMiB"], "MiB"),
        Figure("the cache, with every image built", found["cacheMiB"], "MiB"),
    ]


if __name__ == "__main__":
    print(publish("box", figures()))
