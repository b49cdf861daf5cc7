"""The new revision of a model as a canary, read from the world."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from allod.domain.serving.canary import gateway
from allod.domain.serving.canary.canary import Course, Prospect, Stage, course, rules
from allod.domain.serving.crossroads import silent_for, waking
from allod.domain.serving.wanted import wanted

if TYPE_CHECKING:
    from datetime import datetime

    from allod.domain.serving.revisionfacts import RevisionFacts
    from allod.domain.serving.seen import Seen
    from allod.domain.serving.survey import Survey


def candidate(seen: Seen, found: Survey, now: datetime) -> Course | None:
    """What is next for the desired revision as a canary. None: it is none. Who asks for an older revision does not want to wait."""
    rollout, old, new = seen.model.spec.rollout, found.facts.get(found.home or ""), found.facts.get(found.desired.hash)
    out = seen.model.spec.suspend or found.by_hand or old is None or old is new or (new is not None and new.failed)
    if rollout.strategy != "Canary" or old is None or out:
        return None
    before = Stage.read(seen.status.get("canary") or {}, found.desired.hash)
    if new and (stands_in := _stands_in(seen, found, old, new, before, now)):
        return stands_in
    enough = new is not None and new.trial.ready_since is not None and new.ready >= max(1, min(wanted(seen), old.ready))
    duel = seen.duel if seen.duel and (seen.duel.new, seen.duel.old) == (found.desired.hash, found.home) else None
    following = course(
        Prospect(
            steps=rollout.canary.steps,
            before=before,
            fit=enough and wanted(seen) > 0 and bool(old.ready) and not found.on_standby,
            sends=gateway.problem(seen) is None,
            follows=gateway.follows(seen, now),
            sample=(duel.sample() if duel else 0) if rules(seen.model.spec) else None,
            least=rollout.canary.min_requests,
            now=now,
        )
    )
    return replace(following, holds=_holds(seen, found, old, now))


def _holds(seen: Seen, found: Survey, old: RevisionFacts, now: datetime) -> bool:
    lost = silent_for(seen, old, now) if old.proven else None
    patience = timedelta(seconds=seen.model.spec.health.rollback.fail_after.seconds)
    return found.on_standby is not None or not wanted(seen) or waking(seen, old) or (lost is not None and lost < patience)


def _stands_in(seen: Seen, found: Survey, old: RevisionFacts, new: RevisionFacts, before: Stage, now: datetime) -> Course | None:  # noqa: PLR0917  # one look
    """All of the Gateway's traffic for a revision on trial, while the active one has no ready pod. None: that is not so.

    It is no promotion yet: a pod may be silent for a second because its machine is busy (measured: two engines on two busy cores, 1.2 s).
    """
    lost = silent_for(seen, old, now) if old.proven and not old.ready and wanted(seen) else None
    patience = timedelta(seconds=seen.model.spec.health.rollback.fail_after.seconds)
    able = before.step > 0 and new.ready > 0 and not found.on_standby and gateway.problem(seen) is None
    if lost is None or lost >= patience or not able:
        return None
    return Course(Stage(before.step), 100, waits="until the active revision serves again", look_again=now + patience - lost)


def due(trying: Course | None) -> list[datetime]:
    """When its step is over."""
    return [trying.look_again] if trying and trying.look_again else []
