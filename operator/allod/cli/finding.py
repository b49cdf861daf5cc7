"""One line of what lint and plan say: where, how bad, which rule, and a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a file that a person should know of."""

    file: str
    line: int
    """From 1."""
    level: Level
    """An error would be refused by the cluster or by the operator; a note changes nothing."""
    rule: str
    """Kebab case: `gpu-count`."""
    message: str
