"""What the box is like at this moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from box import bench

if TYPE_CHECKING:
    from box.api import Object
    from box.box import Box
from box.errors import BoxError


def text(box: Box) -> str:
    """A few lines for a person."""
    if not box.running:
        half = " A start was broken off: python3 tests/box down clears it." if box.made else ""
        return f"The cluster is not up.{half}\n  python3 tests/box up"
    ready = _nodes(box)
    lines = [f"The cluster is up, with {bench.memory_total(box):.0f} MiB of memory.", f"  export KUBECONFIG={box.kubeconfig}"]
    for node in box.nodes:
        power = "" if node.running else ", crashed"
        lines.append(f"  {node.name}  {node.address}  {ready.get(node.name, 'unknown')}{power}  {node.gpus} nvidia.com/gpu")
    lines += [f"  127.0.0.1:{opened.port} -> {opened.target}" for opened in box.doors()]
    return "\n".join(lines)


def _nodes(box: Box) -> dict[str, str]:
    """Ready or NotReady, as far as the API server can be asked."""
    try:
        return {found["metadata"]["name"]: _condition(found) for found in box.plane.api.items("/api/v1/nodes")}
    except (OSError, BoxError) as error:
        return {node.name: f"unknown, the API server does not answer ({error})" for node in box.nodes}


def _condition(node: Object) -> str:
    is_ready = any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"].get("conditions", ()))
    return "Ready" if is_ready else "NotReady"
