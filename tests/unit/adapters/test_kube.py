"""What our client makes of answers that no API server gives. What one does give is tested in tests/control_plane."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from allod.adapters.errors import Unavailable
from allod.adapters.kube import ApiServer
from allod.adapters.resources import MODELDEPLOYMENTS
from allod.domain.manifest import Ref
from allod.runtime.lease import Lease, lease_ref

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ANSWERS = ["", "<html>Welcome to the proxy</html>", "[]", "null", '"ok"', "{}", '{"status": "ok"}', '{"kind": "Status"}']
MODEL = Ref("allod.dev/v1alpha1", "ModelDeployment", "ai", "chat")


@asynccontextmanager
async def answering(text: str) -> AsyncIterator[ApiServer]:
    """A client of something that answers every request with 200 and this."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    kube = ApiServer(Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}"))
    yield kube
    await kube.close()
    await runner.cleanup()


@pytest.mark.parametrize("text", ANSWERS)
async def test_an_answer_that_is_no_kubernetes_object_is_no_answer(text: str) -> None:
    async with answering(text) as kube:
        for asked in (kube.get(MODEL), kube.list(MODELDEPLOYMENTS), kube.served("apps/v1")):
            with pytest.raises(Unavailable, match="answered with what is no Kubernetes object"):
                await asked


async def test_a_proxy_that_answers_in_the_place_of_the_api_server_ends_no_candidate() -> None:
    async with answering("<html>Log in</html>") as kube:
        candidate = Lease(kube, lease_ref("allod-system"), "allod-0")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await candidate.acquire()
        assert "no Kubernetes object ('<html>Log in</html>')" in candidate.problem
