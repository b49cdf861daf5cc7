from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from allod.adapters.resources import OPTIONAL, REQUIRED
from allod.domain.names import API_VERSION
from allod.runtime.discovery import MISSING, Discovery
from support.cluster import FakeCluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.looptime

OURS = (API_VERSION, "ModelDeployment")


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@contextlib.asynccontextmanager
async def running(cluster: FakeCluster) -> AsyncIterator[Discovery]:
    """Not a fixture: simulated time begins with the test."""
    made = Discovery(cluster)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()


async def test_without_our_crd_it_says_what_to_install_and_goes_on_when_it_comes(cluster: FakeCluster) -> None:
    async with running(cluster) as discovery:
        cluster.kinds.discard(OURS)
        await asyncio.sleep(60)
        assert (discovery.problem, discovery.resources) == (MISSING, ())
        cluster.kinds.add(OURS)
        assert await discovery.ready() == REQUIRED
        assert discovery.problem == ""
        assert asyncio.get_running_loop().time() <= 62


async def test_a_problem_is_logged_once(cluster: FakeCluster, caplog: pytest.LogCaptureFixture) -> None:
    async with running(cluster) as discovery:
        cluster.kinds.discard(OURS)
        await asyncio.sleep(600)
        assert discovery.problem
        assert len(caplog.records) == 1


async def test_an_optional_kind_is_found_within_half_a_minute(cluster: FakeCluster) -> None:
    async with running(cluster) as discovery:
        before = await discovery.ready()
        assert discovery.apis == frozenset()
        cluster.install()
        await discovery.other_than(before)
        assert asyncio.get_running_loop().time() <= 30
        assert discovery.apis == {f"{each.api_version}/{each.kind}" for each in OPTIONAL}
        assert discovery.resources == (*REQUIRED, *OPTIONAL)


async def test_what_was_found_stays_while_the_api_server_is_away(cluster: FakeCluster) -> None:
    async with running(cluster) as discovery:
        found = await discovery.ready()
        cluster.down = True
        await asyncio.sleep(60)
        assert discovery.resources == found
        assert discovery.problem == "no answer from the API server"
        cluster.down = False
        await asyncio.sleep(5)
        assert discovery.problem == ""
