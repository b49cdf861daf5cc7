"""One ModelDeployment: observe, decide, plan, apply."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import ValidationError

from allod.adapters.resources import MODELDEPLOYMENTS
from allod.domain.plan import Event
from allod.domain.serving import denial, moves
from allod.domain.serving.decide import decide
from allod.domain.serving.moments import past
from allod.reconcile.apply import TELL_AGAIN, Apply, NameTaken
from allod.reconcile.observe import Senses, observe
from allod.reconcile.world import Outcome
from allod.render.serving.plan import plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from allod.adapters.kube import Kube
    from allod.domain.manifest import Manifest, Ref
    from allod.domain.plan import Plan
    from allod.domain.serving.denial import Denial
    from allod.domain.serving.seen import Defaults
    from allod.reconcile.apply import Sent

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
        apis: Callable[[str], frozenset[str]],
        clock: Callable[[], datetime],
        identity: str,
    ) -> None:
        """`apis(namespace)` gives the optional APIs that are there for us now, `clock()` the time in UTC."""
        self._senses, self._defaults, self._apis, self._clock = senses, defaults, apis, clock
        self._apply = Apply(kube, senses.world, identity)
        self._moved: dict[str, datetime] | None = None
        """When models went to their standbys lately, by uid. Kept here because a status is written only after the Service."""
        self._begun: set[Ref] = set()
        """Models that were let start. Their status says so when everything is made: too late for rivals of that moment."""

    async def reconcile(self, key: Ref) -> Outcome:
        """One look at one model, and at most one step. ApiErrors other than Invalid are the caller's to retry."""
        live = self._senses.world.get(key)
        # The children of a deleted model go by their owner references.
        if live is None or "deletionTimestamp" in live["metadata"]:
            return self._gone(key)
        now = self._clock()
        model = past(live, now)
        try:
            seen = observe(
                self._senses,
                model,
                defaults=self._defaults,
                apis=self._apis(key.namespace),
                moved_lately=self._moved_but(model, now),
                begun=self._begun,
            )
        except ValidationError as problem:
            return Outcome(await self._unreadable(live, denial.unreadable(problem), now), REFUSED_AGAIN)
        decision = decide(seen, now)
        steps = plan(seen, decision)
        # Before anything is awaited: other workers look at the same time.
        if self._moved is not None and moves.leaves(model, steps.status):
            self._moved[model["metadata"]["uid"]] = now
        (self._begun.add if decision.home else self._begun.discard)(key)
        sent = await self._apply.plan(model, steps)
        status, events = self._told(model, steps, sent, now)
        changed = sent.changed
        if status is not None:
            changed |= await self._apply.status(live, status)
        # After the status: from then on the step counts as taken, and no later reconcile tells it again. Where nothing was written, nothing
        # happened: a look at a model that is still refused is no step.
        untold = await self._apply.events(model, events if changed else (), now)
        waits = [each for each in (steps.requeue_after, REFUSED_AGAIN if sent.refusal else None, TELL_AGAIN if untold else None) if each]
        return Outcome(changed, min(waits, default=None))

    async def _unreadable(self, model: Manifest, no: Denial, now: datetime) -> bool:
        """Say that a model cannot be understood. Its event is made with the status, so not at each look."""
        changed = await self._apply.status(model, denial.told(model, no, now))
        await self._apply.events(model, [Event(no.reason, no.message, "Warning")] if changed else (), now)
        return changed

    def _told(self, model: Manifest, steps: Plan, sent: Sent, now: datetime) -> tuple[Manifest | None, Sequence[Event]]:
        """Status and events as they were decided, without what was refused."""
        if not sent.refusal:
            return steps.status, steps.events
        reason = "NameTaken" if isinstance(sent.refusal, NameTaken) else "Refused"
        no = denial.denied(model, reason, str(sent.refusal), sent.refused)
        if self._moved is not None and no.service and moves.leaves(model, steps.status):
            self._moved.pop(model["metadata"]["uid"], None)  # it went nowhere, and takes nobody else's place
        return denial.told(model, no, now, steps.status), denial.events(no, steps.events)

    def _gone(self, key: Ref) -> Outcome:
        self._begun.discard(key)
        self._apply.forget(key)
        return Outcome()

    def _moved_but(self, model: Manifest, now: datetime) -> int:
        """How many other models went to their standbys lately. A new leader reads in all histories what the one before it moved."""
        if self._moved is None:
            world = self._senses.world
            known = (world.get(each) for each in world.refs(MODELDEPLOYMENTS.api_version, MODELDEPLOYMENTS.kind))
            self._moved = moves.lately((each for each in known if each), now)
        self._moved = moves.still(self._moved, now)
        return sum(uid != model["metadata"]["uid"] for uid in self._moved)
