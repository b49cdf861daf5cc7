"""Which revision is on trial against which, and what both counted since the last look."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from allod.domain.serving.canary.contest import Duel
from allod.domain.serving.health.counts import Counts
from allod.domain.serving.health.windows import requests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from allod.api.canary import Comparison
    from allod.domain.manifest import Ref
    from allod.domain.serving.health.windows import Track

    Tracks = Mapping[Ref, Track]


@dataclass(slots=True)
class Trial:
    """One duel, and up to where each pod was counted."""

    duel: Duel
    least: int
    """Requests that count as enough: whoever waits for them is told."""
    counted: dict[Ref, Counts] = field(default_factory=dict)
    looked_at: float = 0.0

    def look(self, new: Tracks, old: Tracks) -> bool:
        """Count what came since the last look, once both sides had requests. Returns whether it decides something else now.

        When a look is taken depends on how many requests there were, never on how they ended, as the test demands.
        """
        ours, theirs = self._since(new), self._since(old)
        if not requests(ours) or not requests(theirs):
            return False
        before, self.duel = self._decides(), self.duel.after(ours, theirs)
        self.counted = {pod: track.samples[-1].counts for pod, track in (*new.items(), *old.items()) if track.samples}
        return self._decides() != before

    def _since(self, tracks: Tracks) -> Counts:
        """A pod that is new here, or new under its name, counts from its first look on: what it did before, it did alone."""
        total = Counts()
        for pod, track in tracks.items():
            if track.samples:
                now = track.samples[-1].counts
                if pod not in self.counted or now.fell(self.counted[pod]):
                    self.counted[pod] = now
                total = total.plus(now.minus(self.counted[pod]))
        return total

    def _decides(self) -> tuple[bool, bool]:
        return self.duel.lost(self.least) is not None, self.duel.sample() >= self.least


class Duels:
    """At most one for each model."""

    def __init__(self) -> None:
        self._trials: dict[tuple[str, str], Trial] = {}

    def meet(self, model: tuple[str, str], new: str, old: str, rules: tuple[Comparison, ...], least: int) -> Duel:
        """How it stands between these two. Others than before, or other rules, begin anew."""
        trial = self._trials.get(model)
        if trial is None or (trial.duel.new, trial.duel.old, trial.duel.rules, trial.least) != (new, old, rules, least):
            trial = self._trials[model] = Trial(Duel(new, old, rules), least)
        return trial.duel

    def of(self, model: tuple[str, str]) -> Trial | None:
        """The one of a model."""
        return self._trials.get(model)

    def end(self, model: tuple[str, str]) -> None:
        """There is nothing to compare any more."""
        self._trials.pop(model, None)
