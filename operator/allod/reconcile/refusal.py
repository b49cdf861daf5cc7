"""The status of a model that cannot be carried out: what runs goes on, and one sentence says what a person must change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.domain.conditions import Condition, stamped

if TYPE_CHECKING:
    from datetime import datetime

    from pydantic import ValidationError

    from allod.domain.manifest import Manifest


def refused(model: Manifest, reason: str, message: str, now: datetime, decided: Manifest | None = None) -> Manifest:
    """The decided status, with Degraded and Progressing saying what was refused. None: nothing could be decided, so the status as it is.

    Ready stays True where it is: a revision that serves goes on serving.
    """
    before: Manifest = model.get("status") or {}
    status = before if decided is None else decided
    generation = model["metadata"].get("generation", 0)
    kept = {each["type"]: each for each in status.get("conditions") or ()}
    answers = [Condition("Progressing", "False", reason, message), Condition("Degraded", "True", reason, message)]
    if "Ready" not in kept or (decided is not None and kept["Ready"]["status"] != "True"):
        answers.insert(0, Condition("Ready", "False", reason, message))
    told = {each["type"]: each for each in stamped(answers, before.get("conditions") or (), generation, now)}
    return {**status, "observedGeneration": generation, "conditions": [*(kept | told).values()]}


def sentence(problem: ValidationError) -> str:
    """What is wrong with a document, where, and why."""
    errors = problem.errors(include_url=False, include_context=False, include_input=False)
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"]) or "the object"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{where}: {first['msg']}{more}. It was stored under another CRD: apply the CRDs of this release, then the object."
