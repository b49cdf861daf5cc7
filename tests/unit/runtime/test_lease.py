from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from allod.adapters.errors import Invalid, Unavailable
from allod.runtime.lease import Lease, LeaseLost, lease_ref
from support.cluster import FakeCluster

if TYPE_CHECKING:
    from allod.domain.manifest import Manifest

pytestmark = pytest.mark.looptime

TARGET = lease_ref("allod-system")


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


def lease(cluster: FakeCluster, identity: str) -> Lease:
    return Lease(cluster, TARGET, identity)


def spec(cluster: FakeCluster) -> dict[str, Any]:
    return dict(cluster.objects[TARGET]["spec"])


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_the_first_replica_leads_at_once(cluster: FakeCluster) -> None:
    await lease(cluster, "a").acquire()
    assert (spec(cluster)["holderIdentity"], spec(cluster)["leaseTransitions"], now()) == ("a", 0, 0)


async def test_a_second_replica_waits_while_the_first_renews(cluster: FakeCluster) -> None:
    first = lease(cluster, "a")
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3600):
            await lease(cluster, "b").acquire()
    assert spec(cluster)["holderIdentity"] == "a"
    holding.cancel()


async def test_a_second_replica_takes_over_when_the_first_is_killed(cluster: FakeCluster) -> None:
    await lease(cluster, "a").acquire()
    await lease(cluster, "b").acquire()
    assert (spec(cluster)["holderIdentity"], spec(cluster)["leaseTransitions"]) == ("b", 1)
    assert 15 <= now() <= 17


async def test_a_released_lease_is_taken_at_the_next_attempt(cluster: FakeCluster) -> None:
    first, second = lease(cluster, "a"), lease(cluster, "b")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(3)
    await first.release()
    await waiting
    assert now() <= 5
    assert spec(cluster)["leaseTransitions"] == 1


async def test_the_same_replica_leads_again_at_once_after_a_crash(cluster: FakeCluster) -> None:
    await lease(cluster, "a").acquire()
    await lease(cluster, "a").acquire()
    assert (spec(cluster)["leaseTransitions"], now()) == (0, 0)


async def test_a_leader_that_cannot_renew_gives_up_before_another_may_lead(cluster: FakeCluster) -> None:
    first = lease(cluster, "a")
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    await asyncio.sleep(60)
    cut = now()
    cluster.down = True
    with pytest.raises(LeaseLost, match="could not be renewed for 10 s"):
        await holding
    assert now() - cut <= 10


async def test_a_short_absence_of_the_api_server_costs_nothing(cluster: FakeCluster) -> None:
    first = lease(cluster, "a")
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    cluster.down = True
    await asyncio.sleep(7)
    cluster.down = False
    await asyncio.sleep(60)
    assert not holding.done()
    holding.cancel()


async def test_a_leader_that_sees_another_holder_gives_up_at_once(cluster: FakeCluster) -> None:
    first = lease(cluster, "a")
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    cluster.edit(TARGET, lambda record: record["spec"].update(holderIdentity="b"))
    with pytest.raises(LeaseLost, match="b holds the lease now"):
        await holding
    assert now() <= 2


async def test_two_replicas_that_start_together_make_one_leader(cluster: FakeCluster) -> None:
    tasks = [asyncio.create_task(lease(cluster, name).acquire()) for name in "abc"]
    await asyncio.sleep(5)
    assert sum(task.done() for task in tasks) == 1
    for task in tasks:
        task.cancel()


async def test_a_replica_that_never_led_releases_nothing(cluster: FakeCluster) -> None:
    await lease(cluster, "a").acquire()
    await lease(cluster, "b").release()
    assert spec(cluster)["holderIdentity"] == "a"


async def test_a_refused_lease_is_a_sentence_for_readyz(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async def forbidden(*_: object) -> None:
        raise Invalid('leases "allod" is forbidden')

    monkeypatch.setattr(cluster, "get", forbidden)
    candidate = lease(cluster, "a")
    waiting = asyncio.create_task(candidate.acquire())
    await asyncio.sleep(1)
    assert candidate.problem == 'leases "allod" is forbidden'
    waiting.cancel()


async def test_a_leader_whose_answers_come_late_gives_up_before_another_may_lead(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A candidate counts from the write. The answer to the write may come eight seconds later."""
    first, second = lease(cluster, "a"), lease(cluster, "b")
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    await asyncio.sleep(0.5)
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(5)
    replace = cluster.replace

    async def late(record: Manifest) -> Manifest:
        answer = await replace(record)
        if record["spec"]["holderIdentity"] == "a":
            await asyncio.sleep(7.9)
            monkeypatch.setattr(cluster, "replace", lost)
        return answer

    async def lost(record: Manifest) -> Manifest:
        if record["spec"]["holderIdentity"] == "a":
            raise Unavailable("no answer")
        return await replace(record)

    monkeypatch.setattr(cluster, "replace", late)
    with pytest.raises(LeaseLost):
        await holding
    assert not waiting.done(), "two lead"
    await waiting


async def test_a_first_answer_that_comes_late_counts_from_its_question_too(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    create = cluster.create

    async def late(record: Manifest) -> Manifest:
        answer = await create(record)
        await asyncio.sleep(9)
        return answer

    monkeypatch.setattr(cluster, "create", late)
    first = lease(cluster, "a")
    await first.acquire()
    cluster.down = True
    with pytest.raises(LeaseLost):
        await first.hold()
    assert now() <= 11, "two seconds of which are the pause before the next attempt"


async def test_a_lease_in_which_nothing_stands_is_free(cluster: FakeCluster) -> None:
    """As `kubectl create` makes it of a manifest without a spec, which the API allows."""
    cluster.add({"apiVersion": TARGET.api_version, "kind": TARGET.kind, "metadata": {"name": TARGET.name, "namespace": TARGET.namespace}})
    await lease(cluster, "a").acquire()
    assert (spec(cluster)["holderIdentity"], spec(cluster)["leaseTransitions"], now()) == ("a", 0, 0)
