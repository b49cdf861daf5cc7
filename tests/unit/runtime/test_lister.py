from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from allod.adapters.resources import OPTIONAL
from allod.domain.manifest import ref
from allod.domain.names import API_VERSION
from allod.runtime.discovery import Discovery
from allod.runtime.lister import Lister
from allod.runtime.store import Store
from allod.runtime.workqueue import Backoff
from support.cluster import FakeCluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from allod.domain.manifest import Manifest, Ref

pytestmark = pytest.mark.looptime


class Rig:
    """A store that hears no events at all: what it knows, the lister brought."""

    def __init__(self, *namespaces: str) -> None:
        self.cluster = FakeCluster()
        self.store = Store()
        self.looked: list[Ref] = []
        self.discovery = Discovery(self.cluster)
        self.lister = Lister(
            self.cluster,
            self.store,
            self.discovery,
            namespaces=namespaces,
            look_at=self.looked.append,
            backoff=Backoff(first=1, cap=10, jitter=0),
        )

    def add(self, kind: str, name: str, namespace: str = "ai") -> Manifest:
        versions = {"ModelDeployment": API_VERSION, "StatefulSet": "apps/v1", "PodMonitor": "monitoring.coreos.com/v1"}
        meta = {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": "allod"}}
        return self.cluster.add({"apiVersion": versions[kind], "kind": kind, "metadata": meta, "spec": {}})

    def known(self, kind: str) -> set[str]:
        return {f"{each.namespace}/{each.name}" for version in ("apps/v1", API_VERSION, "v1") for each in self.store.refs(version, kind)}

    def lists(self) -> int:
        return sum(what == "statefulsets" for _, what in self.cluster.reads)


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Rig]:
    """Not a fixture: simulated time begins with the test."""
    made = Rig()
    tasks = [asyncio.create_task(made.discovery.run()), asyncio.create_task(made.lister.run())]
    yield made
    for task in tasks:
        task.cancel()


async def test_everything_is_known_after_the_first_listing_and_every_model_is_looked_at() -> None:
    async with running() as rig:
        rig.add("ModelDeployment", "chat")
        rig.add("StatefulSet", "chat-1")
        await rig.lister.fresh()
        assert (rig.known("ModelDeployment"), rig.known("StatefulSet")) == ({"ai/chat"}, {"ai/chat-1"})
        assert {each.name for each in rig.looked} == {"chat"}
        assert rig.lister.problem == ""


async def test_what_the_watches_missed_is_found_within_eleven_minutes() -> None:
    async with running() as rig:
        ghost = rig.add("StatefulSet", "ghost")
        await rig.lister.fresh()
        rig.cluster.remove(ref(ghost))
        rig.add("StatefulSet", "missed")
        await asyncio.sleep(660)
        assert rig.known("StatefulSet") == {"ai/missed"}


async def test_a_stream_that_began_afresh_is_followed_by_one_listing() -> None:
    async with running() as rig:
        await asyncio.sleep(10)
        before = rig.lists()
        for _ in range(1000):
            rig.lister.hint()
        await asyncio.sleep(10)
        assert rig.lists() == before + 1


async def test_an_api_server_that_is_away_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as rig:
        await asyncio.sleep(5)
        rig.cluster.down = True
        rig.lister.hint()
        await asyncio.sleep(60)
        assert rig.lister.problem == "no answer from the API server"
        assert [each.message for each in caplog.records].count("the cluster cannot be listed") == 1
        rig.cluster.down = False
        await asyncio.sleep(15)
        assert rig.lister.problem == ""


async def test_a_kind_whose_crd_is_gone_is_forgotten() -> None:
    async with running() as rig:
        rig.cluster.install()
        rig.add("PodMonitor", "chat")
        await asyncio.sleep(1)
        assert rig.store.refs("monitoring.coreos.com/v1", "PodMonitor")
        rig.cluster.kinds -= {(each.api_version, each.kind) for each in OPTIONAL}
        await rig.lister.fresh()
        assert rig.store.refs("monitoring.coreos.com/v1", "PodMonitor") == ()


async def test_only_the_namespaces_that_were_asked_for_are_listed() -> None:
    rig = Rig("ai", "research")
    for namespace in ("ai", "research", "secret"):
        rig.add("StatefulSet", "chat-1", namespace)
    await rig.discovery.look()
    await rig.lister.fresh()
    assert rig.known("StatefulSet") == {"ai/chat-1", "research/chat-1"}
