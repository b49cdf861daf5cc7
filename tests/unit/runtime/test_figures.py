from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from allod.adapters.errors import Unavailable
from allod.domain.manifest import Ref, ref
from allod.domain.serving.seen import EngineFigures
from allod.runtime.figures import EngineReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from allod.domain.manifest import Manifest

pytestmark = pytest.mark.looptime

FIGURES = EngineFigures(kv_cache_tokens=46592, max_concurrency=5.7)


def pod(name: str = "chat-0", *, ready: bool = True, restarts: int = 0, uid: str = "u1") -> Manifest:
    status: dict[str, Any] = {
        "podIP": "10.0.0.1",
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        "containerStatuses": [{"name": "engine", "restartCount": restarts}],
    }
    meta = {"name": name, "namespace": "ai", "uid": uid, "labels": {"allod.dev/revision": "5b21aa0c", "allod.dev/model": "chat"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": status}


class Cluster:
    """Pods, and engines that answer in them or do not."""

    def __init__(self) -> None:
        self.pods: dict[Ref, Manifest] = {}
        self.asked = 0
        self.answer: EngineFigures | None = FIGURES
        self.away = False
        self.bug: Exception | None = None
        self.told: list[str] = []
        self.reader = EngineReader(self, self.pods.get, lambda pod: self.told.append(pod["metadata"]["name"]))

    async def figures(self, _address: str, _port: int) -> EngineFigures | None:
        self.asked += 1
        if self.bug:
            raise self.bug
        if self.away:
            raise Unavailable("no answer")
        return self.answer

    async def look(self, *pods: Manifest, seconds: float = 0.1) -> dict[str, EngineFigures]:
        self.pods.clear()
        self.pods |= {ref(each): each for each in pods}
        self.reader.of(pods)
        await asyncio.sleep(seconds)
        return dict(self.reader.of(pods))


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    made = Cluster()
    task = asyncio.create_task(made.reader.run())
    yield made
    task.cancel()


async def test_a_ready_engine_is_asked_once(cluster: Cluster) -> None:
    for _ in range(5):
        assert await cluster.look(pod()) == {"5b21aa0c": FIGURES}
    assert (cluster.asked, cluster.told) == (1, ["chat-0"])


async def test_an_engine_that_is_not_ready_is_not_asked(cluster: Cluster) -> None:
    assert await cluster.look(pod(ready=False)) == {}
    assert cluster.asked == 0


@pytest.mark.parametrize("later", [pod(restarts=1), pod(uid="u2")], ids=["restarted", "another pod"])
async def test_another_start_of_the_engine_is_asked_again(cluster: Cluster, later: Manifest) -> None:
    await cluster.look(pod())
    await cluster.look(later)
    assert cluster.asked == 2


async def test_an_engine_that_publishes_no_figures_is_left_alone(cluster: Cluster) -> None:
    cluster.answer = None
    for _ in range(5):
        assert await cluster.look(pod()) == {}
    assert (cluster.asked, cluster.told) == (1, [])


async def test_an_engine_that_does_not_answer_is_asked_ever_more_rarely(cluster: Cluster) -> None:
    cluster.away = True
    await cluster.look(pod(), seconds=3600)
    assert 10 < cluster.asked < 25
    cluster.away = False
    assert await cluster.look(pod(), seconds=600) == {"5b21aa0c": FIGURES}


async def test_to_ask_again_and_again_does_not_hurry_an_engine_that_does_not_answer(cluster: Cluster) -> None:
    cluster.away = True
    for _ in range(600):  # reconciles of a busy model
        await cluster.look(pod(), seconds=1)
    assert 5 < cluster.asked < 15, cluster.asked


async def test_a_new_start_is_asked_at_once_however_long_the_old_one_did_not_answer(cluster: Cluster) -> None:
    cluster.away = True
    await cluster.look(pod(), seconds=3600)
    cluster.away = False
    assert await cluster.look(pod(restarts=1)) == {"5b21aa0c": FIGURES}


async def test_an_engine_that_leaves_or_has_ended_is_not_asked(cluster: Cluster) -> None:
    leaving, ended = pod(), pod("chat-1")
    leaving["metadata"]["deletionTimestamp"] = "2026-11-20T00:00:00Z"
    ended["status"]["phase"] = "Failed"
    assert await cluster.look(leaving, ended) == {}
    assert cluster.asked == 0


async def test_an_answer_that_nobody_foresaw_ends_nothing(cluster: Cluster) -> None:
    cluster.bug = OverflowError("cannot convert float infinity to integer")
    await cluster.look(pod())
    cluster.bug = None
    assert await cluster.look(pod(), seconds=2) == {"5b21aa0c": FIGURES}


async def test_a_pod_that_is_gone_is_not_asked_for_ever(cluster: Cluster) -> None:
    cluster.away = True
    await cluster.look(pod())
    cluster.pods.clear()
    await asyncio.sleep(3600)
    assert cluster.asked == 1
