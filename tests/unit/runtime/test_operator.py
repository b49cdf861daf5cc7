"""One replica as it is wired, on a cluster in memory; of the watches there is nothing but what they would tell."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from allod.adapters.errors import Unavailable
from allod.runtime import operator as wired
from allod.runtime.lister import JITTER, PERIOD
from allod.runtime.metrics import Metrics
from allod.runtime.operator import Operator
from allod.runtime.routing import model_ref
from allod.runtime.settings import Settings
from support.cluster import FakeCluster
from support.drive import DEFAULTS, SPEC

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from allod.domain.manifest import Manifest

pytestmark = pytest.mark.looptime


class Silent:
    """No engine answers."""

    async def figures(self, *_: Any) -> Any:
        raise Unavailable("no answer")

    reading = figures


class Watches:
    """Tells everything that happens to what is watched."""

    cluster: FakeCluster

    def __init__(self, resources: Any, _namespaces: Any, _login: Any, hear: Any) -> None:
        self._of = {each.kind: each for each in resources}
        self._hear = hear

    async def run(self) -> None:
        self.cluster.watch(self._tell)
        await asyncio.Event().wait()

    def _tell(self, how: str, manifest: Manifest) -> None:
        asyncio.get_running_loop().call_soon(self._hear, self._of[manifest["kind"]], how, manifest)


@contextlib.asynccontextmanager
async def leading(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, metrics: Metrics | None = None) -> AsyncIterator[Operator]:
    """One that works in two namespaces."""
    monkeypatch.setattr(wired, "Watches", Watches)
    monkeypatch.setattr(Watches, "cluster", cluster, raising=False)
    settings = Settings(defaults=DEFAULTS, namespaces=("legal", "ai"), pod_name="allod-0")

    async def login() -> Any:
        raise AssertionError("nobody asks")

    operator = Operator(settings, cluster, Silent(), login=login, metrics=metrics or Metrics())
    running = asyncio.create_task(operator.run())
    await asyncio.sleep(20)
    yield operator
    running.cancel()
    await asyncio.wait((running,))


def create(cluster: FakeCluster, namespace: str) -> None:
    target = model_ref(namespace, "chat")
    meta = {"name": target.name, "namespace": namespace}
    cluster.add({"apiVersion": target.api_version, "kind": target.kind, "metadata": meta, "spec": SPEC})


def runs(cluster: FakeCluster, namespace: str) -> set[str]:
    """No pod of these gets ready, so a new revision takes the place of the one before."""
    return {each["metadata"]["name"] for each in cluster.of_kind("StatefulSet") if each["metadata"]["namespace"] == namespace}


@pytest.mark.parametrize("kind", ["statefulsets", "pods", "controllerrevisions", "services"])
async def test_where_something_cannot_be_seen_nothing_is_done_as_if_it_were_not_there(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster()
    for namespace in ("legal", "ai"):
        create(cluster, namespace)
    async with leading(cluster, monkeypatch):
        (first,) = runs(cluster, "legal")
    cluster.forbidden = {(kind, "legal")}
    async with leading(cluster, monkeypatch) as operator:
        cluster.writes.clear()
        for namespace in ("legal", "ai"):
            cluster.edit(model_ref(namespace, "chat"), lambda model: model["spec"].update(resources={"memory": "2Gi"}))
        await asyncio.sleep(30)
        touched = {target for verb, target in cluster.writes if target.namespace == "legal" and verb != "edit"}
        (second,) = runs(cluster, "ai")
        assert second != first
        assert (touched, runs(cluster, "legal")) == (set(), {first})
        assert operator.not_ready() == ""
        assert f"{kind} cannot be listed in the namespace legal" in operator.remark()
        cluster.forbidden = set()
        await asyncio.sleep(70)
        assert runs(cluster, "legal") == {second}
        assert operator.remark() == ""


async def test_of_a_model_that_is_left_alone_no_conditions_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, metrics = FakeCluster(), Metrics()
    for namespace in ("legal", "ai"):
        create(cluster, namespace)

    def told() -> set[str]:
        ready = (line for line in metrics.page().decode().splitlines() if line.startswith("allod_condition{") and 'type="Ready"' in line)
        return {namespace for line in ready for namespace in ("legal", "ai") if f'namespace="{namespace}"' in line}

    async with leading(cluster, monkeypatch, metrics):
        assert told() == {"legal", "ai"}
        cluster.forbidden = {("pods", "legal")}
        await asyncio.sleep(PERIOD * (1 + JITTER))
        assert told() == {"ai"}, "the last listing was refused: an alert on it would be of the past"
        cluster.forbidden = set()
        await asyncio.sleep(70)
        assert told() == {"legal", "ai"}
