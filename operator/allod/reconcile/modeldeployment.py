"""One ModelDeployment: observe, decide, plan, apply."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import ValidationError

from allod.domain.serving.decide import decide
from allod.reconcile.apply import Apply, NameTaken
from allod.reconcile.moves import Moves
from allod.reconcile.observe import Senses, observe
from allod.reconcile.refusal import refused, sentence
from allod.reconcile.world import Outcome
from allod.render.serving.plan import plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from allod.adapters.kube import Kube
    from allod.domain.manifest import Ref
    from allod.domain.serving.seen import Defaults

REFUSED_AGAIN = timedelta(minutes=1)
"""What was refused may be allowed later without any event for us: a quota is raised, a right is granted, a name gets free."""


class ModelDeployments:
    """Reconciles ModelDeployments."""

    def __init__(
        self,
        kube: Kube,
        senses: Senses,
        *,
        defaults: Defaults,
        apis: Callable[[], frozenset[str]],
        clock: Callable[[], datetime],
        identity: str,
    ) -> None:
        """`apis()` gives the optional APIs that the cluster serves now, `clock()` the time in UTC."""
        self._senses, self._defaults, self._apis, self._clock = senses, defaults, apis, clock
        self._apply = Apply(kube, senses.world, identity)
        self._moves = Moves()
        self._begun: set[Ref] = set()
        """Models that were let start. Their status says so when everything is made: too late for rivals of that moment."""

    async def reconcile(self, key: Ref) -> Outcome:
        """One look at one model, and at most one step. ApiErrors other than Invalid are the caller's to retry."""
        model = self._senses.world.get(key)
        # The children of a deleted model go by their owner references.
        if model is None or "deletionTimestamp" in model["metadata"]:
            self._begun.discard(key)
            self._apply.forget(key)
            return Outcome()
        now = self._clock()
        try:
            seen = observe(
                self._senses,
                model,
                defaults=self._defaults,
                apis=self._apis(),
                moved_lately=self._moves.others(key, now),
                begun=self._begun,
            )
        except ValidationError as problem:
            unreadable = refused(model, "InvalidSpec", sentence(problem), now)
            return Outcome(await self._apply.status(model, unreadable), REFUSED_AGAIN)
        decision = decide(seen, now)
        steps = plan(seen, decision)
        # Before anything is awaited: other workers look at the same time.
        self._moves.note(key, model, steps.status, now)
        (self._begun.add if decision.home else self._begun.discard)(key)
        sent = await self._apply.plan(model, steps)
        status = steps.status
        if sent.refusal:
            reason = "NameTaken" if isinstance(sent.refusal, NameTaken) else "Refused"
            status = refused(model, reason, str(sent.refusal), now, status)
        changed = sent.changed
        if status is not None:
            changed |= await self._apply.status(model, status)
        # After the status: from then on the step counts as taken, and no later reconcile tells it again. Where nothing was written, nothing
        # happened: a look at a model that is still refused is no step.
        if changed:
            await self._apply.events(model, steps.events, now)
        waits = [each for each in (steps.requeue_after, REFUSED_AGAIN if sent.refusal else None) if each]
        return Outcome(changed, min(waits, default=None))
