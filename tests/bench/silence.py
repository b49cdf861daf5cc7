"""From the cut of a node's link to the first answer of the standby on another node, beside the least that could be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.failover import HEALTH, Fault, asking, stage, told
from bench.publication import publish
from box import waiting
from cluster.models import chat

if TYPE_CHECKING:
    from bench.publication import Figure

GOAL = 3.0
"""Seconds. Kubernetes itself takes 20 to 50: its nodes report every 10 s, and are believed for 40."""


def figures() -> list[Figure]:
    """All of them, in one run."""
    here: dict[str, Any] = {"scheduling": {"nodeSelector": {"kubernetes.io/hostname": "node1"}}}
    primary = chat(standby={"modelDeploymentRef": {"name": "small"}}, health=HEALTH, **here)
    with stage("bench-silence", primary) as on, asking(on) as client:
        waiting.until("the client gets answers", lambda: client.last() == "home", seconds=30)
        box = on.box
        return told(on, client, Fault("node silent", GOAL, lambda: box.link("node1", up=False), lambda: box.link("node1", up=True)))


if __name__ == "__main__":
    print(publish("silence", figures()))
