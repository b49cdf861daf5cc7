"""`python -m box.agent NAME ARGUMENTS`: one of the small programs that run inside the box, or the door to it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from box import dns, door, netpol, volumes

if TYPE_CHECKING:
    from collections.abc import Callable

AGENTS: dict[str, Callable[..., None]] = {"dns": dns.main, "door": door.main, "netpol": netpol.main, "volumes": volumes.main}

if __name__ == "__main__":
    AGENTS[sys.argv[1]](*sys.argv[2:])
