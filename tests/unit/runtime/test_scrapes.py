from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from allod.adapters.errors import Unavailable
from allod.api.slo import Slo
from allod.domain.manifest import Ref, ref
from allod.domain.serving.health.counts import Counts
from allod.domain.serving.health.slos import slo_finding
from allod.domain.serving.health.windows import Reading
from allod.runtime.measures import PERIOD
from allod.runtime.scrapes import Scrapes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from allod.api.slo import Metric
    from allod.domain.manifest import Manifest
    from allod.domain.serving.health.windows import Window

pytestmark = pytest.mark.looptime

HASH = "5b21aa0c"
ERRORS = Slo.model_validate({"name": "errors", "metric": "ErrorRatio", "threshold": "0.01", "window": "2m"})
LONG = Slo.model_validate({"name": "long", "metric": "TTFTSeconds", "quantile": "0.9", "threshold": "1", "window": "1h"})


def pod(name: str = "chat-0", *, ready: bool = True, uid: str = "", revision: str = HASH, model: str = "chat") -> Manifest:
    status: dict[str, Any] = {"podIP": name, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    labels = {"allod.dev/revision": revision, "allod.dev/model": model}
    meta = {"name": name, "namespace": "ai", "uid": uid or name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": status}


class Cluster:
    """Pods of one model, and engines in them that count ten requests a second."""

    def __init__(self) -> None:
        self.pods: dict[Ref, Manifest] = {}
        self.asked: list[tuple[float, str]] = []
        self.metrics: set[frozenset[Metric]] = set()
        self.answered, self.failed = 0.0, 0.0
        self.failing = 0.0
        """Part of the requests."""
        self.away: set[str] = set()
        self.broken: set[str] = set()
        """Their pages are such that we have a bug."""
        self.slow = 0.0
        self.begun = asyncio.Event()
        self.at_once, self.most_at_once = 0, 0
        self.told: list[str] = []
        self.results: Counter[str] = Counter()
        self.scrapes = Scrapes(
            self, self.pods.get, lambda pod: self.told.append(pod["metadata"]["name"]), lambda each: self.results.update([each])
        )

    async def reading(self, address: str, _port: int, metrics: Iterable[Metric]) -> Reading:
        self.asked.append((now(), address))
        self.metrics.add(frozenset(metrics))
        self.begun.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.slow)
        self.at_once -= 1
        if address in self.broken:
            raise OverflowError("cannot convert float infinity to integer")
        if address in self.away:
            raise Unavailable("no answer")
        return Reading(Counts({"answered": self.answered, "failed": self.failed}), 1.0)

    async def serve(self, seconds: float) -> None:
        """Time passes, and requests come."""
        for _ in range(round(seconds)):
            await asyncio.sleep(1)
            self.failed += 10 * self.failing
            self.answered += 10 * (1 - self.failing)

    def look(self, *pods: Manifest, slos: tuple[Slo, ...] = (ERRORS,)) -> Mapping[str, Mapping[str, Window]]:
        self.pods.clear()
        self.pods |= {ref(each): each for each in pods}
        return self.scrapes.of(pods, slos)


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    made = Cluster()
    tasks = [asyncio.create_task(made.scrapes.run()) for _ in range(4)]
    yield made
    for task in tasks:
        task.cancel()


async def test_a_pod_of_a_model_with_objectives_is_asked_every_ten_seconds(cluster: Cluster) -> None:
    cluster.look(pod())
    await cluster.serve(600)
    assert 55 <= len(cluster.asked) <= 67
    times = [at for at, _ in cluster.asked]
    assert len({round(later - earlier, 1) for earlier, later in pairwise(times)}) > 5, "never in step"


async def test_a_model_without_objectives_is_left_alone(cluster: Cluster) -> None:
    assert cluster.look(pod(), slos=()) == {}
    await cluster.serve(60)
    assert cluster.asked == []


@pytest.mark.parametrize("one", [pod(ready=False), pod(revision="")], ids=["starting", "not ours"])
async def test_what_does_not_serve_is_not_asked(cluster: Cluster, one: Manifest) -> None:
    if not one["metadata"]["labels"]["allod.dev/revision"]:
        del one["metadata"]["labels"]["allod.dev/revision"]
    assert cluster.look(one) == {}
    await cluster.serve(60)
    assert cluster.asked == []


async def test_only_the_histograms_of_the_objectives_are_read(cluster: Cluster) -> None:
    cluster.look(pod())
    await cluster.serve(11)
    cluster.look(pod(), slos=(ERRORS, LONG))
    await cluster.serve(11)
    assert cluster.metrics == {frozenset(), frozenset({"TTFTSeconds"})}


async def test_the_window_of_a_revision_sums_up_its_pods(cluster: Cluster) -> None:
    assert cluster.look(pod("a"), pod("b"), pod("c", revision="7c9f4d21")).keys() == {HASH, "7c9f4d21"}
    await cluster.serve(200)
    windows = cluster.look(pod("a"), pod("b"), pod("c", revision="7c9f4d21"))
    both, alone = windows[HASH]["errors"], windows["7c9f4d21"]["errors"]
    assert (both.full, both.errors, alone.full) == (True, 0, True)
    assert 1200 <= alone.requests <= 1350
    assert 2400 <= both.requests <= 2700


async def test_a_model_is_looked_at_when_a_verdict_changes_and_only_then(cluster: Cluster) -> None:
    cluster.look(pod())
    await cluster.serve(115)
    assert cluster.told == []
    await cluster.serve(30)
    assert cluster.told == ["chat-0"], "the window is full: the objective holds"
    await cluster.serve(600)
    assert cluster.told == ["chat-0"]
    cluster.failing = 0.05
    await cluster.serve(600)
    assert cluster.told == ["chat-0"] * 2
    finding = slo_finding((ERRORS,), cluster.look(pod())[HASH])
    assert finding
    assert finding.message.startswith("errors 0.050 > 0.010 over 2m, 1")
    cluster.failing = 0
    await cluster.serve(600)
    assert cluster.told == ["chat-0"] * 3
    assert slo_finding((ERRORS,), cluster.look(pod())[HASH]) is None


async def test_of_many_pods_one_tells(cluster: Cluster) -> None:
    cluster.look(*(pod(f"p{number}") for number in range(50)))
    await cluster.serve(300)
    assert len(cluster.told) == 1


async def test_no_more_engines_are_asked_at_once_than_there_are_readers(cluster: Cluster) -> None:
    cluster.slow = 2
    cluster.look(*(pod(f"p{number}") for number in range(50)))
    await cluster.serve(120)
    assert cluster.most_at_once == 4
    assert len({name for _, name in cluster.asked}) == 50


async def test_new_objectives_are_judged_at_once_by_what_is_known(cluster: Cluster) -> None:
    cluster.failing = 0.05
    cluster.look(pod())
    await cluster.serve(200)
    loose = Slo.model_validate(ERRORS.document() | {"threshold": "0.1"})
    told = list(cluster.told)
    assert slo_finding((ERRORS,), cluster.look(pod())[HASH])
    assert slo_finding((loose,), cluster.look(pod(), slos=(loose,))[HASH]) is None
    await cluster.serve(60)
    assert cluster.told == told, "who asked knows it already"


async def test_objectives_that_are_taken_away_end_the_questions(cluster: Cluster) -> None:
    cluster.look(pod())
    await cluster.serve(200)
    assert cluster.look(pod(), slos=()) == {}
    asked = len(cluster.asked)
    await cluster.serve(200)
    assert len(cluster.asked) == asked
    assert cluster.look(pod())[HASH]["errors"].requests == 0, "what was known is forgotten"


async def test_an_engine_that_does_not_answer_is_asked_more_rarely_and_no_longer_counts(cluster: Cluster) -> None:
    cluster.look(pod())
    await cluster.serve(200)
    cluster.away.add("chat-0")
    asked = len(cluster.asked)
    await cluster.serve(600)
    assert 9 <= len(cluster.asked) - asked <= 15
    assert cluster.results == {"answered": asked, "unavailable": len(cluster.asked) - asked}
    assert cluster.told == ["chat-0"] * 2, "nothing can be said any more"
    assert not cluster.look(pod())[HASH]["errors"].full
    cluster.away.clear()
    await cluster.serve(200)
    assert cluster.look(pod())[HASH]["errors"].full


async def test_a_pod_that_serves_again_goes_on_where_it_was(cluster: Cluster) -> None:
    cluster.look(pod())
    await cluster.serve(130)
    cluster.look(pod(ready=False))
    asked = len(cluster.asked)
    await cluster.serve(60)
    assert len(cluster.asked) == asked
    cluster.look(pod())
    await cluster.serve(15)
    found = cluster.look(pod())[HASH]["errors"]
    # Ten a second for two minutes; requests are counted at whole seconds, and looked at between them.
    assert (found.full, found.requests >= 1190) == (True, True)


async def test_another_pod_of_the_name_begins_anew(cluster: Cluster) -> None:
    cluster.look(pod())
    await cluster.serve(200)
    cluster.look(pod(uid="u2"))
    await cluster.serve(30)
    found = cluster.look(pod(uid="u2"))[HASH]["errors"]
    assert (found.full, found.requests <= 300) == (False, True)


async def test_a_page_that_we_fail_on_costs_nobody_else_anything(cluster: Cluster) -> None:
    cluster.broken.add("a")
    pods = [pod("a"), *(pod(f"p{number}", model=f"m{number}") for number in range(8))]
    cluster.look(*pods)
    await cluster.serve(100)
    asked = Counter(name for _, name in cluster.asked)
    assert min(asked[f"p{number}"] for number in range(8)) >= 8
    assert 2 <= asked["a"] <= 4, "by the backoff"
    cluster.broken.clear()
    await cluster.serve(200)
    assert cluster.look(*pods)[HASH]["errors"].full


async def test_a_pod_that_is_gone_leaves_its_successor_no_backoff(cluster: Cluster) -> None:
    cluster.away.add("chat-0")
    cluster.look(pod())
    await cluster.serve(600)
    cluster.pods.clear()
    await cluster.serve(70)
    asked = len(cluster.asked)
    cluster.look(pod(uid="u2"))
    await cluster.serve(45)
    assert len(cluster.asked) - asked >= 3


@pytest.mark.parametrize("how", ["forget", "find out"])
async def test_a_pod_that_is_gone_is_not_asked_and_leaves_nothing_behind(cluster: Cluster, how: str) -> None:
    cluster.look(pod())
    await cluster.serve(30)
    asked = len(cluster.asked)
    cluster.pods.clear()
    if how == "forget":
        cluster.scrapes.forget(ref(pod()))
    await cluster.serve(60)
    assert len(cluster.asked) == asked
    assert cluster.look(pod())[HASH]["errors"].requests == 0


async def test_an_answer_that_comes_after_its_pod_is_gone_is_nobodys(cluster: Cluster) -> None:
    cluster.slow = 5
    cluster.look(pod())
    await cluster.begun.wait()
    cluster.look(pod(uid="u2"))
    await asyncio.sleep(5)
    assert cluster.look(pod(uid="u2"))[HASH]["errors"].requests == 0
    await cluster.serve(2 * PERIOD)
    assert cluster.at_once <= 1
