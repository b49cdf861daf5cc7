from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from allod.adapters.resources import OPTIONAL, PODMONITORS
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
    from allod.runtime.refused import Refused

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

    @property
    def refused(self) -> Refused:
        return self.lister.refused

    def add(self, kind: str, name: str, namespace: str = "ai", **more: Any) -> Manifest:
        versions = {"ModelDeployment": API_VERSION, "StatefulSet": "apps/v1", "PodMonitor": "monitoring.coreos.com/v1"}
        meta = {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": "allod"}}
        return self.cluster.add({"apiVersion": versions[kind], "kind": kind, "metadata": meta, "spec": {}} | more)

    def known(self, kind: str) -> set[str]:
        return {f"{each.namespace}/{each.name}" for version in ("apps/v1", API_VERSION, "v1") for each in self.store.refs(version, kind)}

    def lists(self) -> int:
        return sum(what == "statefulsets" for _, what in self.cluster.reads)


@contextlib.asynccontextmanager
async def running(*namespaces: str) -> AsyncIterator[Rig]:
    """Not a fixture: simulated time begins with the test."""
    made = Rig(*namespaces)
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


async def test_a_namespace_of_which_nothing_can_be_listed_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async with running("legal", "ai") as rig:
        for namespace in ("legal", "ai"):
            rig.add("ModelDeployment", "chat", namespace)
        rig.cluster.forbidden = {("*", "legal")}
        await rig.lister.fresh()
        assert {each.namespace for each in rig.looked} == {"ai"}
        assert (rig.refused.blinds("legal"), rig.refused.blinds("ai")) == (True, False)
        assert rig.lister.problem == "", "it is ready, for it works"
        assert "in the namespace legal, so its models are left alone: run helm upgrade" in rig.lister.remark
        await asyncio.sleep(3600)
        assert [each.message for each in caplog.records] == ["a part of the cluster cannot be listed"], "told once"


async def test_what_was_known_before_a_list_was_refused_stays() -> None:
    async with running("legal", "ai") as rig:
        legal = rig.add("ModelDeployment", "chat", "legal")
        rig.add("StatefulSet", "chat-1", "legal")
        await rig.lister.fresh()
        assert not rig.refused.hides(legal)
        rig.cluster.forbidden = {("statefulsets", "legal")}
        await rig.lister.fresh()
        assert rig.known("StatefulSet") == {"legal/chat-1"}
        assert rig.refused.hides(legal), "what came since is not known"


async def test_a_right_that_is_granted_again_is_noticed_within_a_minute_and_the_models_are_looked_at() -> None:
    async with running("legal", "ai") as rig:
        legal = rig.add("ModelDeployment", "chat", "legal")
        rig.add("ModelDeployment", "chat", "ai")
        rig.cluster.forbidden = {("*", "legal")}
        await asyncio.sleep(500)
        assert [each.namespace for each in rig.looked] == ["ai"], "only what was refused is asked for again"
        rig.cluster.forbidden = set()
        await asyncio.sleep(61)
        assert sorted(each.namespace for each in rig.looked[1:]) == ["ai", "legal"]
        assert (rig.refused.hides(legal), rig.lister.remark) == (False, "")


async def test_a_refusal_of_a_moment_is_over_within_seconds() -> None:
    async with running("legal") as rig:
        legal = rig.add("ModelDeployment", "chat", "legal")
        rig.cluster.forbidden = {("pods", "legal")}
        await asyncio.sleep(0.5)
        assert rig.refused.hides(legal)
        rig.cluster.forbidden = set()
        await asyncio.sleep(2)
        assert not rig.refused.hides(legal)


async def test_an_optional_kind_that_cannot_be_listed_counts_as_not_served() -> None:
    async with running() as rig:
        rig.cluster.install()
        rig.add("PodMonitor", "chat")
        model = rig.add("ModelDeployment", "chat")
        routed = rig.add("ModelDeployment", "routed", spec={"rollout": {"canary": {"parentRef": {"name": "edge"}}}})
        weighed = model | {"status": {"traffic": {"weights": [{"name": "5b21aa0c", "weight": 100}]}}}
        await rig.lister.fresh()
        rig.cluster.forbidden = {("podmonitors", "")}
        await rig.lister.fresh()
        assert rig.store.refs(PODMONITORS.api_version, PODMONITORS.kind) == (), "else it would be wanted no more, and deleted"
        assert rig.refused.apis("ai") == {"monitoring.coreos.com/v1/PodMonitor"}
        assert "podmonitors cannot be listed in all namespaces, so none are made there" in rig.lister.remark
        assert not rig.refused.hides(routed)
        rig.cluster.forbidden = {("httproutes", "")}
        await rig.lister.fresh()
        assert [rig.refused.hides(each) for each in (model, routed, weighed)] == [False, True, True], "a route may send where nobody sees"
        assert "so models with a Gateway are left alone" in rig.lister.remark
        rig.cluster.kinds -= {(each.api_version, each.kind) for each in OPTIONAL}
        await rig.discovery.look()
        await rig.lister.fresh()
        assert not rig.refused.hides(routed)


async def test_a_replica_that_can_work_nowhere_is_not_ready() -> None:
    async with running("ai") as rig:
        rig.add("ModelDeployment", "chat")
        rig.cluster.forbidden = {("pods", "ai")}
        await rig.lister.fresh()
        assert rig.lister.problem.startswith("pods cannot be listed in the namespace ai, so its models are left alone")


async def test_where_no_model_can_be_listed_it_waits() -> None:
    async with running("legal", "ai") as rig:
        rig.cluster.forbidden = {("*", "legal"), ("modeldeployments", "ai")}
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await rig.lister.fresh()
        assert "modeldeployments cannot be listed in the namespace ai" in rig.lister.problem
        rig.cluster.forbidden = {("*", "legal")}
        async with asyncio.timeout(60):
            await rig.lister.fresh()


async def test_only_the_namespaces_that_were_asked_for_are_listed() -> None:
    rig = Rig("ai", "research")
    for namespace in ("ai", "research", "secret"):
        rig.add("StatefulSet", "chat-1", namespace)
    await rig.discovery.look()
    await rig.lister.fresh()
    assert rig.known("StatefulSet") == {"ai/chat-1", "research/chat-1"}
