"""The last step of the ladder: nobody answers, or the standby has answered for too long, and a person is needed.

Who is called is the business of alerts with the severity `page`. That it was so far is remembered where the rest of the story stands,
whether there is a Prometheus or not.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from allod.domain.quantity import duration
from allod.domain.serving import answers
from allod.domain.serving.crossroads import ASLEEP, WAKING
from allod.domain.serving.standby import answers as standbys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from allod.domain.conditions import Condition
    from allod.domain.serving.outcome import Outcome

DOWN = timedelta(minutes=2)
"""Without any answer, at most. An engine of llama.cpp that crashes is back after 2 s, a small one of vLLM after 36 to 51 s."""
BY_INTENT = (ASLEEP, WAKING, "Starting")
"""Reasons for which a model does not serve that are no failure. A start that takes too long has another one, StartupTimeout."""
AWAY_BY_INTENT = (standbys.REASONS["Handoff"], standbys.REASONS["Drill"])
"""The same for a standby that answers."""
PAGED = "Paged"
"""The step of `status.history`."""


def paged(outcome: Outcome) -> dict[str, Any] | None:
    """What the history does not tell yet: a person is needed since now."""
    told = [step for step in outcome.seen.status.get("history") or [] if step.get("action") == PAGED]
    for says, since, patience in _troubles(outcome):
        new = not any(datetime.fromisoformat(step["time"]) >= since for step in told)
        if new and outcome.now - since >= patience:
            return {"action": PAGED, "cause": f"{says} for {duration(patience.total_seconds())}: {_why(outcome)}"}
    return None


def due(outcome: Outcome) -> list[datetime]:
    """When it will be so, of which no event tells."""
    if outcome.seen.model.spec.suspend:
        return []
    return [since + patience for _, since, patience in _troubles(outcome) if since + patience > outcome.now]


def _troubles(outcome: Outcome) -> Iterator[tuple[str, datetime, timedelta]]:
    """What needs a person once it has lasted, since when it is so by the last status, and how long that may be."""
    after = timedelta(seconds=outcome.seen.model.spec.health.page.after.seconds)
    ready, away = answers.ready(outcome), standbys.failed_over(outcome)
    if ready.status == "False" and ready.reason not in BY_INTENT and (since := _since(outcome, ready)):
        yield "nobody has answered", since, min(DOWN, after)
    if away.status == "True" and away.reason not in AWAY_BY_INTENT and (since := _since(outcome, away)):
        yield "the standby has answered", since, after


def _since(outcome: Outcome, answer: Condition) -> datetime | None:
    before: Mapping[str, Any] = next((old for old in outcome.seen.status.get("conditions") or [] if old.get("type") == answer.type), {})
    return datetime.fromisoformat(before["lastTransitionTime"]) if before.get("status") == answer.status else None


def _why(outcome: Outcome) -> str:
    degraded = answers.degraded(outcome)
    return degraded.message if degraded.status == "True" else answers.ready(outcome).message
