"""Our client against a real API server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

from allod.adapters import kube as adapter
from allod.adapters.errors import Invalid, NotFound, Unavailable
from allod.adapters.kube import ApiServer
from allod.domain.manifest import ref
from support.crds import install_ours
from support.kubecontract import CONFIGMAPS, NAMESPACE, KubeContract, configmap, model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from allod.adapters.kube import Kube
    from allod.domain.manifest import Manifest
    from box.controlplane import ControlPlane

PATIENCE = 60
"""Seconds. The garbage collector looks for new CRDs every 30."""


@pytest.fixture(scope="module", autouse=True)
def namespace(control_plane: ControlPlane) -> None:
    install_ours(control_plane)
    control_plane.kubectl("create", "namespace", NAMESPACE)


@pytest.fixture
async def kube(control_plane: ControlPlane) -> AsyncIterator[ApiServer]:
    server = ApiServer(await configuration(control_plane))
    yield server
    await server.close()


async def configuration(plane: ControlPlane) -> Configuration:
    read = Configuration()
    await load_kube_config(str(plane.kubeconfig), client_configuration=read, persist_config=False)  # type: ignore[no-untyped-call]  # no annotations
    return read


class TestApiServer(KubeContract):
    """The contract that the fake keeps is the real one's."""

    async def until_gone(self, kube: Kube, manifest: Manifest) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await kube.get(ref(manifest))
                except NotFound:
                    return
                await asyncio.sleep(0.05)


async def test_a_refusal_is_the_servers_own_sentence(kube: ApiServer) -> None:
    wrong = model("wrong")
    wrong["spec"] = {**wrong["spec"], "replicas": -1}
    with pytest.raises(Invalid, match=r"apply ModelDeployment contract/wrong: .*spec.replicas: Invalid value"):
        await kube.apply(wrong)


async def test_a_right_that_is_missing_is_a_refusal(control_plane: ControlPlane) -> None:
    nobody = await configuration(control_plane)
    nobody.cert_file = nobody.key_file = None
    nobody.api_key["BearerToken"] = "Bearer " + control_plane.kubectl("create", "token", "default").strip()
    server = ApiServer(nobody)
    with pytest.raises(Invalid, match="is forbidden"):
        await server.get(ref(configmap("any")))
    await server.close()


async def test_a_long_list_comes_in_chunks(kube: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(adapter, "CHUNK", 2)
    monkeypatch.setattr(kube, "_observe", lambda verb, _code, _seconds: asked.append(verb))
    for number in range(5):
        await kube.apply(configmap(f"chunk-{number}"))
    asked.clear()
    names = [each["metadata"]["name"] for each in (await kube.list(CONFIGMAPS, NAMESPACE)).items]
    assert {f"chunk-{number}" for number in range(5)} <= set(names)
    assert len(names) == len(set(names))
    assert len(asked) >= 3


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    nowhere = Configuration(host="https://127.0.0.1:1")
    server = ApiServer(nowhere)
    with pytest.raises(Unavailable, match=r"get ConfigMap contract/any: no answer from https://127.0.0.1:1"):
        await server.get(ref(configmap("any")))
    await server.close()


async def test_a_pod_that_two_delete_at_once_is_gone_for_both_or_has_a_version(kube: ApiServer) -> None:
    """Whoever comes second may be shown what was deleted, without a version: such a pod is no longer there."""
    made = [await kube.create(pod(f"twice-{number}")) for number in range(40)]
    answers = await asyncio.gather(*(kube.delete(each, grace=0) for each in made for _ in range(4)))
    assert [left for left in answers if left is not None and "resourceVersion" not in left["metadata"]] == []
    for each in made:
        with pytest.raises(NotFound):
            await kube.get(ref(each))


def pod(name: str) -> Manifest:
    """On a node that nobody has: only its API object ends."""
    containers = [{"name": "engine", "image": "registry.test/engine"}]
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": "nowhere", "containers": containers}}
