"""A client that never stops: a Pod that asks a model five times a second, each time on a new connection, and writes down who answered."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from box import waiting
from cluster.space import pod

if TYPE_CHECKING:
    from cluster.space import Space

PATIENCE = 2
"""Seconds of each request: what hangs is given up, as a client of a bank's front end would."""
LINE = re.compile(r"^(\d+\.\d+) (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Asker:
    """`lost` stands for a request that got no answer."""

    space: Space
    name: str = "asker"

    @classmethod
    def start(cls, space: Space, model: str, standby: str = "small", node: str | None = None, at: str = "") -> Asker:
        """GET /v1/models, which every engine of ours has, lists all names of who answers: only the standby has its own.

        `at`: the base URL, where it is not the model's own Service.
        """
        ask = f"wget -q -T {PATIENCE} -O - {at or f'http://{model}:8000'}/v1/models 2>/dev/null"
        who = f"""{ask} | awk '/"{standby}"/ {{print "{standby}"; next}} /"data"/ {{print "{model}"}}'"""
        moment = "$(cut -d' ' -f1 /proc/uptime)"
        loop = f'touch /tmp/told; while true; do at={moment}; name=$({who}); echo "$at ${{name:-lost}}" >> /tmp/told; sleep 0.2; done'
        where: dict[str, Any] = {"nodeName": node} if node else {}
        space.run(pod("asker", loop, **where))
        waiting.until("the client asks", lambda: "told" in space.inside("asker", "ls /tmp"), seconds=20)
        return cls(space)

    def told(self) -> list[tuple[float, str]]:
        """Seconds of the machine's uptime at which each request began, and who answered it."""
        return [(float(at), who) for at, who in LINE.findall(self._told.read_text())]

    @cached_property
    def _told(self) -> Path:
        """By way of its first process: to start another one in the container for each look would take the cores from whom it asks."""
        return Path(f"/proc/{self.space.box.processes(f'{self.space.name}/{self.name}')[0].pid}/root/tmp/told")

    def last(self) -> str:
        """Who answered last."""
        return self.told()[-1][1] if self.told() else ""

    def since(self, moment: float) -> list[str]:
        """Who answered requests that began after that moment of uptime."""
        return [who for at, who in self.told() if at >= moment]
