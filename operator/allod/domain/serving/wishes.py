"""What a person asks for by annotation: things that are done once, and so are no part of the spec.

Each wish is followed once. The status notes which one was, so that a wish that stays there does nothing again: to repeat it, take the
annotation away and set it anew. An edit of the spec ends a rollback by hand, as it ends one of ours; a change of replicas is no edit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allod.domain.serving.revision import digest, edition

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from allod.domain.serving.seen import Seen

RETRY = "allod.dev/retry-revision"
ROLLBACK = "allod.dev/rollback-to"
RETURN = "allod.dev/return-traffic"
LONGEST = 63
"""Characters of a wish in the status."""


def rolled_back(seen: Seen, known: Container[str]) -> str | None:
    """The remembered revision that a person wants in place of the spec's."""
    to, followed = seen.model.metadata.annotations.get(ROLLBACK), seen.status.get("rolledBack") or {}
    # Older operators noted no hash: what they followed goes on.
    old_wish = followed.get("to") == to and followed.get("spec") not in (None, edition(seen.model.spec))
    return to if to in known and not old_wish else None


def tries_again(seen: Seen, revision: str, desired: str) -> bool:
    """Whether a revision that was given up gets another try: it is wanted, and the spec was edited or a person asks for it."""
    asked = seen.model.metadata.annotations.get(RETRY)
    if asked == revision and seen.status.get("retried") != asked:
        return True
    # An edit of the time of a suspension stays one until that is over: it would be a new try at each look.
    return revision == desired and not seen.model.spec.suspend and _edited(seen)


def noted(wish: str | None) -> str | None:
    """As the status keeps it: an annotation may be longer than a status field."""
    return wish if wish is None or len(wish) <= LONGEST else f"sha256-{digest(wish)[:32]}"


def returns(seen: Seen, home: str | None) -> bool:
    """Whether a person wants traffic back from the standby now."""
    asked = seen.model.metadata.annotations.get(RETURN)
    return asked is not None and asked == home and seen.status.get("returned") != noted(asked)


def unknown(seen: Seen, known: Sequence[str], home: str | None) -> str | None:
    """A sentence about the first wish that cannot be followed, for it names what is not there. `known`: revisions, newest first."""
    annotations, status = seen.model.metadata.annotations, seen.status
    are = ", ".join(known) or "none"
    to, again, back = (annotations.get(name) for name in (ROLLBACK, RETRY, RETURN))
    if to and to not in known and (status.get("rolledBack") or {}).get("to") != to:
        return f"annotation {ROLLBACK} names revision {to}, which nobody remembers: there are {are}"
    if again and again not in known and status.get("retried") != again:
        return f"annotation {RETRY} names revision {again}, which nobody remembers: there are {are}"
    if back and back != home and status.get("returned") != noted(back) and (status.get("traffic") or {}).get("target") == "Standby":
        return f"annotation {RETURN} names revision {back}, but the one that traffic would return to is {home}"
    return None


def followed(seen: Seen, rolled_back_to: str | None, known: Container[str]) -> dict[str, Any]:
    """For the status: the wishes that this decision follows, or followed before."""
    annotations = seen.model.metadata.annotations
    now, before = edition(seen.model.spec), seen.status.get("rolledBack") or {}
    kept = before if annotations.get(ROLLBACK) and annotations.get(ROLLBACK) == before.get("to") else None
    rolled = {"to": rolled_back_to, "spec": now} if rolled_back_to else kept
    # While it is suspended nothing is followed: an edit of that time counts when the pause is over.
    spec = seen.status.get("observedSpec") if seen.model.spec.suspend else now
    again = annotations.get(RETRY)
    retried = again if again is None or again in known else seen.status.get("retried")
    return {"observedSpec": spec, "rolledBack": rolled, "retried": retried, "returned": noted(annotations.get(RETURN))}


def _edited(seen: Seen) -> bool:
    before = seen.status.get("observedSpec")
    if before is None:  # an older operator's status, or none
        return seen.status.get("observedGeneration") != seen.model.metadata.generation
    return bool(before != edition(seen.model.spec))
