"""What the keeper in a pod says of its LoRA adapters: the last part of a heartbeat, read only when it is another one than before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from allod.domain.serving.health.beat import AdapterSaid

if TYPE_CHECKING:
    from collections.abc import Mapping

MARK: Final = b', "adapters": '
"""Inside a JSON string the quotes would have backslashes, so no sentence of a fault can pass for it."""
LONGEST: Final = 400
"""Characters of a sentence that are kept; a keeper sends no longer ones."""


def adapters_part(line: bytes) -> bytes:
    """The part of a heartbeat that speaks of adapters; empty without one. It is the last one."""
    return line.partition(MARK)[2]


def adapters_said(part: bytes) -> Mapping[str, AdapterSaid] | None:
    """What it says. None: nothing, or nothing that we can read."""
    if not part:
        return None
    try:
        said = json.loads(b'{"adapters": ' + part)["adapters"]
        return {str(name): AdapterSaid(str(one["version"]), _line(one["refused"])) for name, one in said.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _line(sentence: object) -> str:
    return "".join(each if each.isprintable() else " " for each in str(sentence))[:LONGEST]
