"""The status of a model that cannot be carried out: what runs goes on, and one sentence says what a person must change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import ValidationError

    from allod.domain.manifest import Manifest


def refused(model: Manifest, reason: str, message: str, now: str) -> Manifest:
    """The status as it is, with Degraded and Progressing saying why nothing moves. `now` in RFC 3339.

    Ready is left as it was: a revision that serves goes on serving. On a new object it is False.
    """
    status: Manifest = dict(model.get("status") or {})
    generation = model["metadata"].get("generation", 0)
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    news = {"Degraded": "True", "Progressing": "False"} | ({} if "Ready" in conditions else {"Ready": "False"})
    for kind, its in news.items():
        condition = {"type": kind, "status": its, "reason": reason, "message": message, "observedGeneration": generation}
        conditions[kind] = {**condition, "lastTransitionTime": _since(conditions.get(kind), its, now)}
    return {**status, "observedGeneration": generation, "conditions": list(conditions.values())}


def _since(before: Mapping[str, Any] | None, status: str, now: str) -> str:
    return str(before["lastTransitionTime"]) if before is not None and before["status"] == status else now


def sentence(problem: ValidationError) -> str:
    """What is wrong with a document, where, and why."""
    errors = problem.errors(include_url=False, include_context=False, include_input=False)
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"]) or "the object"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return (
        f"{where}: {first['msg']}{more}. It was stored under another version of the CRD: apply the CRDs of this release, then the object."
    )
