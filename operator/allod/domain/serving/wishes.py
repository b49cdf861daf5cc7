"""What a person asks for by annotation: things that are done once, and so are no part of the spec.

Each wish is followed once. The status notes which one was, so that a wish that stays there does nothing again: to repeat it, take the
annotation away and set it anew. A new generation of the spec ends a rollback by hand, as it ends one of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container

    from allod.domain.serving.seen import Seen

RETRY = "allod.dev/retry-revision"
ROLLBACK = "allod.dev/rollback-to"
RETURN = "allod.dev/return-traffic"


def rolled_back(seen: Seen, known: Container[str]) -> str | None:
    """The remembered revision that a person wants in place of the spec's."""
    to, generation = seen.model.metadata.annotations.get(ROLLBACK), seen.model.metadata.generation
    followed = seen.status.get("rolledBack") or {}
    old_wish = followed.get("to") == to and followed.get("generation") != generation
    return to if to in known and not old_wish else None


def tries_again(seen: Seen, revision: str, desired: str) -> bool:
    """Whether a revision that was given up gets another try: it is wanted, and the spec was edited or a person asks for it."""
    asked = seen.model.metadata.annotations.get(RETRY)
    if asked == revision and seen.status.get("retried") != asked:
        return True
    return revision == desired and seen.status.get("observedGeneration") != seen.model.metadata.generation


def returns(seen: Seen, home: str | None) -> bool:
    """Whether a person wants traffic back from the standby now."""
    asked = seen.model.metadata.annotations.get(RETURN)
    return asked is not None and asked == home and seen.status.get("returned") != asked


def followed(seen: Seen, rolled_back_to: str | None) -> dict[str, Any]:
    """For the status: the wishes that this decision follows, or followed before."""
    annotations = seen.model.metadata.annotations
    generation = seen.model.metadata.generation
    before = seen.status.get("rolledBack") or {}
    kept = before if annotations.get(ROLLBACK) and annotations.get(ROLLBACK) == before.get("to") else None
    rolled = {"to": rolled_back_to, "generation": generation} if rolled_back_to else kept
    return {"rolledBack": rolled, "retried": annotations.get(RETRY), "returned": annotations.get(RETURN)}
