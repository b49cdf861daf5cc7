"""What is kept of the engines' counters, wherever they are read: a track for each pod, windows for each revision, a duel for each model.

`scrapes.py` reads them from the pods themselves, `queries.py` from a Prometheus.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from allod.domain.manifest import ref
from allod.domain.names import MODEL, REVISION
from allod.domain.serving import pod as pods_
from allod.domain.serving.groups.group import leads
from allod.domain.serving.health.slos import verdicts
from allod.domain.serving.health.windows import STALE, Track, window
from allod.runtime.duels import Duels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from allod.api.canary import Comparison
    from allod.api.slo import Metric, Slo
    from allod.domain.manifest import Manifest, Ref
    from allod.domain.serving.canary.contest import Duel
    from allod.domain.serving.health.measurement import Measurement
    from allod.domain.serving.health.windows import Reading, Window
    from allod.reconcile.world import Pair

    RevisionKey = tuple[str, str, str]
    """Namespace, model, hash."""

PERIOD = 10.0
"""Seconds between two looks at a pod, and half of it between two sums: of a hundred pods one is enough to go over all of them."""


@dataclass(slots=True)
class Measured:
    """One revision of one model."""

    slos: tuple[Slo, ...]
    rules: tuple[Comparison, ...] = ()
    """What is compared with another revision."""
    stale: float = STALE
    """Seconds after which a pod that is not heard of any more no longer counts."""
    pods: dict[Ref, str] = field(default_factory=dict)
    """Pods that have served, and their uids."""
    tracks: dict[Ref, Track] = field(default_factory=dict)
    windows: Mapping[str, Window] = field(default_factory=dict)
    """By the names of the SLOs, as of the last judgement."""
    judged_at: float = 0.0

    @property
    def metrics(self) -> frozenset[Metric]:
        """What is read of a page beside the numbers."""
        wanted = {slo.metric for slo in self.slos} | {rule.metric for rule in self.rules}
        return frozenset(metric for metric in wanted if metric != "ErrorRatio")

    def heard(self, target: Ref, at: float, reading: Reading) -> None:
        """A pod counted this by then."""
        keep = max((slo.window.seconds for slo in self.slos), default=PERIOD)
        self.tracks[target] = self.tracks.get(target, Track()).heard(at, reading, keep)

    def judge(self, now: float) -> bool:
        """Sum up anew. Returns whether a verdict is another than before."""
        before = verdicts(self.slos, self.windows)
        lengths = {slo.window.seconds for slo in self.slos}
        summed = {seconds: window(self.tracks.values(), seconds, now, self.stale) for seconds in lengths}
        self.windows = {slo.name: summed[slo.window.seconds] for slo in self.slos}
        self.judged_at = now
        return verdicts(self.slos, self.windows) != before

    def forget(self, target: Ref) -> None:
        """The pod is gone, or another one of its name has come."""
        self.pods.pop(target, None)
        self.tracks.pop(target, None)


class Measures(ABC):
    """Windows of all revisions whose models have SLOs. All calls from the event loop's thread."""

    def __init__(self, pod: Callable[[Ref], Manifest | None], stale: float = STALE) -> None:
        """`pod` finds a pod as it is now. `stale`: seconds, as in `Measured`."""
        self._pod, self._stale = pod, stale
        self._revisions: dict[RevisionKey, Measured] = {}
        self._where: dict[Ref, RevisionKey] = {}
        self._duels = Duels()

    def of(
        self, pods: tuple[Manifest, ...], slos: tuple[Slo, ...], rules: tuple[Comparison, ...] = ()
    ) -> Mapping[str, Mapping[str, Window]]:
        """By revision hash, then by the names of the SLOs. Pods that have begun to serve are asked from now on.

        Without SLOs and rules nothing is asked, and what was known is forgotten.
        """
        for pod in pods:
            if not slos and not rules:
                self.forget(ref(pod))
            elif pods_.is_ready(pod) and leads(pod) and REVISION in (pod["metadata"].get("labels") or {}):
                self._meet(pod, slos)
        keys = dict.fromkeys(self._where[each] for pod in pods if (each := ref(pod)) in self._where)
        for key in keys:
            self._agree(self._revisions[key], slos, rules)
        return {key[2]: self._revisions[key].windows for key in keys}

    def duel(self, pair: Pair) -> Duel | None:
        """How the revision on trial stands against the active one. None: they are not both asked, or nothing is compared."""
        model = (pair.namespace, pair.model)
        if not pair.rules or any((*model, each) not in self._revisions for each in (pair.new, pair.old)):
            self._duels.end(model)
            return None
        return self._duels.meet(model, pair.new, pair.old, pair.rules, pair.least)

    @abstractmethod
    def measurement(self, pods: tuple[Manifest, ...]) -> Measurement | None:
        """What is to be said of how these pods of one model are read. None: nothing."""

    def forget(self, target: Ref) -> None:
        """The pod is gone."""
        key = self._where.pop(target, None)
        if key is None:
            return
        self._revisions[key].forget(target)
        if not self._revisions[key].pods:
            del self._revisions[key]
            self._duels.end(key[:2])  # of whichever two revisions: the next one begins anew, and a deleted model leaves nothing behind

    def _measured(self, target: Ref, pod: Manifest | None) -> Measured | None:
        """Of which revision this very pod is known to be."""
        key = self._where.get(target)
        found = None if key is None or pod is None else self._revisions[key]
        return found if found and pod and found.pods.get(target) == pod["metadata"]["uid"] else None

    def _looked(self, key: RevisionKey, now: float) -> bool:
        """Somebody looked at pods of a revision: sum up and weigh, if it is time. Returns whether something else is decided now."""
        revision = self._revisions[key]
        judged = now - revision.judged_at >= PERIOD / 2 and revision.judge(now)
        return self._weigh(key, now) or judged

    @abstractmethod
    def _met(self, target: Ref) -> None:
        """A pod that is new here serves, and its model wants its counters."""

    def _meet(self, pod: Manifest, slos: tuple[Slo, ...]) -> None:
        target, labels = ref(pod), pod["metadata"]["labels"]
        if self._measured(target, pod) is None:
            self.forget(target)
            key = (target.namespace, labels.get(MODEL, ""), labels[REVISION])
            self._revisions.setdefault(key, Measured(slos, stale=self._stale)).pods[target] = pod["metadata"]["uid"]
            self._where[target] = key
            self._met(target)

    def _agree(self, revision: Measured, slos: tuple[Slo, ...], rules: tuple[Comparison, ...]) -> None:
        """Who asks gets windows of the SLOs as they are now, and needs not be told of them."""
        revision.rules = rules
        if revision.slos != slos or not revision.windows:
            revision.slos = slos
            revision.judge(asyncio.get_running_loop().time())

    def _weigh(self, key: RevisionKey, now: float) -> bool:
        """Take a look at the duel that a revision is in, if it is time. Returns whether it decides something else now."""
        trial = self._duels.of(key[:2])
        if trial is None or now - trial.looked_at < PERIOD / 2:
            return False
        sides = [self._revisions.get((*key[:2], each)) for each in (trial.duel.new, trial.duel.old)]
        new, old = (side.tracks if side else {} for side in sides)
        trial.looked_at = now
        return trial.look(new, old)
