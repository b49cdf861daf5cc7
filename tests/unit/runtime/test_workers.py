from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

import pytest

from allod.adapters.errors import Conflict, Invalid, NotFound, Unavailable
from allod.domain.manifest import Ref
from allod.reconcile.world import Outcome
from allod.runtime.metrics import Metrics
from allod.runtime.workers import Workers
from allod.runtime.workqueue import Backoff, WorkQueue

pytestmark = pytest.mark.looptime

KEY = Ref("allod.dev/v1alpha1", "ModelDeployment", "ai", "chat")
Story = Callable[[int], Outcome]


async def times(story: Story, until: float) -> list[float]:
    """When a key that was added once is reconciled, if the n-th reconcile does what the story says."""
    loop = asyncio.get_running_loop()
    queue: WorkQueue[Ref] = WorkQueue(Backoff(first=1, cap=30, jitter=0))
    seen: list[float] = []

    async def reconcile(_: Ref) -> Outcome:
        seen.append(loop.time())
        return story(len(seen))

    task = asyncio.create_task(Workers(queue, reconcile, Metrics()).run())
    queue.add(KEY)
    await asyncio.sleep(until)
    task.cancel()
    return seen


def failing(problem: Exception) -> Story:
    def story(_: int) -> Outcome:
        raise problem

    return story


async def test_a_reconcile_that_changed_nothing_is_over() -> None:
    assert await times(lambda _: Outcome(), 3600) == [0]


async def test_a_reconcile_that_changed_something_looks_again_until_nothing_changes() -> None:
    assert await times(lambda n: Outcome(changed=n < 3), 3600) == [0, 1, 3]


async def test_two_looks_that_never_agree_come_ever_more_rarely() -> None:
    seen = await times(lambda _: Outcome(changed=True), 3600)
    assert len(seen) < 130
    assert seen[-1] - seen[-2] == 30


async def test_a_deadline_is_looked_at_in_time_also_after_a_change() -> None:
    def story(n: int) -> Outcome:
        return Outcome(changed=n in (1, 2, 3, 4, 5, 6), requeue_after=timedelta(seconds=3) if n == 6 else None)

    assert await times(story, 3600) == [0, 1, 3, 7, 15, 30 + 1, 31 + 3], "and not after the 30 s of the backoff"


async def test_a_deadline_is_looked_at_in_time() -> None:
    assert await times(lambda n: Outcome(requeue_after=timedelta(minutes=5) if n == 1 else None), 3600) == [0, 300]


@pytest.mark.parametrize("problem", [Conflict("x"), Unavailable("x"), NotFound("x"), Invalid("x"), ValueError("x")])
async def test_whatever_goes_wrong_is_tried_again_with_backoff(problem: Exception) -> None:
    assert (await times(failing(problem), 60))[:5] == [0, 1, 3, 7, 15]


@pytest.mark.parametrize(("problem", "lines"), [(Conflict("x"), 0), (Unavailable("x"), 0), (Invalid("x"), 1), (ValueError("x"), 1)])
async def test_only_what_a_person_must_know_is_an_error_in_the_log(
    problem: Exception, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    await times(failing(problem), 0.5)
    assert len([each for each in caplog.records if each.levelno >= logging.WARNING]) == lines


async def test_a_bug_in_one_model_does_not_stop_the_others() -> None:
    queue: WorkQueue[Ref] = WorkQueue(Backoff(first=1, cap=30))
    done: list[str] = []

    async def reconcile(key: Ref) -> Outcome:
        if key.name == "bad":
            raise ZeroDivisionError
        done.append(key.name)
        return Outcome()

    task = asyncio.create_task(Workers(queue, reconcile, Metrics()).run())
    for name in ("bad", "good"):
        queue.add(Ref(KEY.api_version, KEY.kind, "ai", name))
    await asyncio.sleep(1)
    assert done == ["good"]
    task.cancel()


async def test_the_loop_turns_between_looks_that_wait_for_nothing() -> None:
    queue: WorkQueue[Ref] = WorkQueue(Backoff(first=1, cap=30))
    told: list[str] = []

    async def reconcile(key: Ref) -> Outcome:
        told.append(key.name)
        return Outcome()

    async def heartbeat() -> None:
        told.append("heartbeat")

    task = asyncio.create_task(Workers(queue, reconcile, Metrics()).run())
    for number in range(100):
        queue.add(Ref(KEY.api_version, KEY.kind, "ai", f"chat-{number}"))
    await asyncio.sleep(0)
    await asyncio.create_task(heartbeat())
    assert told.index("heartbeat") <= 2
    await asyncio.sleep(1)
    assert len(told) == 101
    task.cancel()
