"""The new revision of a model as a canary, read from the world."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.domain.serving import gateway
from allod.domain.serving.canary import Prospect, Stage, course, rules
from allod.domain.serving.wanted import wanted

if TYPE_CHECKING:
    from datetime import datetime

    from allod.domain.serving.canary import Course
    from allod.domain.serving.seen import Seen
    from allod.domain.serving.survey import Survey


def candidate(seen: Seen, found: Survey, now: datetime) -> Course | None:
    """What is next for the desired revision as a canary. None: it is none. Who asks for an older revision does not want to wait."""
    rollout, old, new = seen.model.spec.rollout, found.facts.get(found.home or ""), found.facts.get(found.desired.hash)
    out = seen.model.spec.suspend or found.by_hand or old is None or old is new or (new is not None and new.failed)
    if rollout.strategy != "Canary" or old is None or out:
        return None
    enough = new is not None and new.trial.ready_since is not None and new.ready >= max(1, min(wanted(seen), old.ready))
    duel = seen.duel if seen.duel and (seen.duel.new, seen.duel.old) == (found.desired.hash, found.home) else None
    return course(
        Prospect(
            steps=rollout.canary.steps,
            before=Stage.read(seen.status.get("canary") or {}, found.desired.hash),
            fit=enough and bool(old.ready) and not found.on_standby,
            sends=gateway.problem(seen) is None,
            sample=(duel.sample() if duel else 0) if rules(seen.model.spec) else None,
            least=rollout.canary.min_requests,
            now=now,
        )
    )


def due(trying: Course | None) -> list[datetime]:
    """When its step is over."""
    return [trying.look_again] if trying and trying.look_again else []
