"""metav1.Condition: a question about an object, answered with a reason and a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

LONGEST_MESSAGE = 32_768
"""metav1.Condition's own limit."""


@dataclass(frozen=True, slots=True)
class Condition:
    """An answer, before it is known since when it holds."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    """CamelCase."""
    message: str
    """One sentence for a person."""


def timestamp(moment: datetime) -> str:
    """RFC 3339 as Kubernetes writes it: UTC, whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def stamped(answers: Iterable[Condition], before: Sequence[Mapping[str, Any]], generation: int, now: datetime) -> list[dict[str, Any]]:
    """Conditions for a status. `lastTransitionTime` stays as it was while the answer's status does; only the reason may change."""
    old = {condition.get("type"): condition for condition in before}
    return [_stamped(answer, old.get(answer.type, {}), generation, now) for answer in answers]


def _stamped(answer: Condition, old: Mapping[str, Any], generation: int, now: datetime) -> dict[str, Any]:
    unchanged = old.get("status") == answer.status and old.get("lastTransitionTime")
    return {
        "type": answer.type,
        "status": answer.status,
        "reason": answer.reason,
        "message": answer.message[:LONGEST_MESSAGE],
        "lastTransitionTime": old["lastTransitionTime"] if unchanged else timestamp(now),
        "observedGeneration": generation,
    }
