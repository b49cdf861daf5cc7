"""Two revisions of a model whose engines are asked in the background: what they count is weighed against each other."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from allod.api.canary import Comparison
from allod.domain.manifest import Ref, ref
from allod.domain.serving.health.counts import Counts
from allod.domain.serving.health.windows import Reading
from allod.reconcile.world import Pair
from allod.runtime.scrapes import Scrapes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from allod.api.slo import Metric
    from allod.domain.manifest import Manifest
    from allod.domain.serving.canary.contest import Duel

pytestmark = pytest.mark.looptime

NEW, OLD = "7c9f4d21", "5b21aa0c"
ERRORS = Comparison.model_validate({"metric": "ErrorRatio", "maxRegressionPercent": 1})
PAIR = Pair("ai", "chat", NEW, OLD, (ERRORS,), 50)


def pod(name: str, revision: str, uid: str = "") -> Manifest:
    status: dict[str, Any] = {"podIP": name, "conditions": [{"type": "Ready", "status": "True"}]}
    labels = {"allod.dev/revision": revision, "allod.dev/model": "chat"}
    meta = {"name": name, "namespace": "ai", "uid": uid or name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": status}


PODS = (pod("new-0", NEW), pod("old-0", OLD), pod("old-1", OLD))


class Engines:
    """They count what a test says, each second."""

    def __init__(self) -> None:
        self.pods: dict[Ref, Manifest] = {}
        self.answered: defaultdict[str, float] = defaultdict(float)
        self.failed: defaultdict[str, float] = defaultdict(float)
        self.failing = 0.0
        """Part of the new revision's requests."""
        self.told = 0
        self.scrapes = Scrapes(self, self.pods.get, self.hear)

    def hear(self, _pod: Manifest) -> None:
        self.told += 1

    async def reading(self, address: str, _port: int, _metrics: Iterable[Metric]) -> Reading:
        return Reading(Counts({"answered": self.answered[address], "failed": self.failed[address]}), 1.0)

    def look(self, *pods: Manifest, pair: Pair = PAIR) -> Duel | None:
        self.pods.clear()
        self.pods |= {ref(each): each for each in pods}
        self.scrapes.of(pods, (), pair.rules)
        return self.scrapes.duel(pair)

    async def serve(self, seconds: int) -> None:
        """One request a second to the new revision, five to each pod of the old."""
        for _ in range(seconds):
            await asyncio.sleep(1)
            self.answered["new-0"] += 1 - self.failing
            self.failed["new-0"] += self.failing
            for name in ("old-0", "old-1"):
                self.answered[name] += 5


@pytest.fixture
async def engines() -> AsyncIterator[Engines]:
    made = Engines()
    tasks = [asyncio.create_task(made.scrapes.run()) for _ in range(2)]
    yield made
    for task in tasks:
        task.cancel()


async def test_both_sides_are_counted_over_the_same_time(engines: Engines) -> None:
    await engines.serve(100)  # before anybody looks
    engines.look(*PODS)
    await engines.serve(300)
    duel = engines.look(*PODS)
    assert duel
    (contest,) = duel.contests.values()
    assert 250 <= contest.new.requests <= 300
    assert contest.old.requests == pytest.approx(10 * contest.new.requests, rel=0.1)
    assert duel.lost(50) is None


async def test_the_model_is_looked_at_when_enough_was_compared_and_when_it_is_lost_and_only_then(engines: Engines) -> None:
    engines.look(*PODS)
    await engines.serve(300)
    assert engines.told == 1, "50 requests were compared"
    engines.failing = 0.5
    await engines.serve(100)
    duel = engines.look(*PODS)
    assert duel
    assert duel.lost(50)
    assert engines.told == 2


@pytest.mark.parametrize(
    "pair",
    [Pair("ai", "chat", "another0", OLD, (ERRORS,), 50), Pair("ai", "chat", NEW, OLD, (), 50)],
    ids=["one side has no pods", "nothing is compared"],
)
async def test_without_two_sides_there_is_no_duel_and_what_was_won_is_forgotten(engines: Engines, pair: Pair) -> None:
    engines.look(*PODS)
    await engines.serve(200)
    assert engines.look(*PODS, pair=pair) is None
    begun = engines.look(*PODS)
    assert begun
    assert begun.sample() == 0


async def test_another_pod_of_the_name_is_not_counted_backwards(engines: Engines) -> None:
    engines.look(*PODS)
    await engines.serve(100)
    engines.answered["new-0"] = 0.0
    engines.look(pod("new-0", NEW, uid="next"), *PODS[1:])
    before = engines.look(pod("new-0", NEW, uid="next"), *PODS[1:])
    await engines.serve(100)
    after = engines.look(pod("new-0", NEW, uid="next"), *PODS[1:])
    assert before
    assert after
    assert 60 <= after.sample() - before.sample() <= 110


async def test_the_pods_of_one_side_are_gone_and_a_new_try_begins_with_nothing(engines: Engines) -> None:
    engines.look(*PODS)
    engines.failing = 1.0
    await engines.serve(200)
    lost = engines.look(*PODS)
    assert lost
    assert lost.lost(50)
    engines.scrapes.forget(ref(PODS[0]))
    engines.look(*PODS[1:])
    again = engines.look(*PODS)
    assert again
    assert again.lost(1) is None
