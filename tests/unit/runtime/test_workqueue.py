from __future__ import annotations

import asyncio

import pytest

from allod.runtime.workqueue import AHEAD, Backoff, WorkQueue

pytestmark = pytest.mark.looptime

EXACT = Backoff(first=0.5, cap=30, jitter=0)


@pytest.fixture
async def queue() -> WorkQueue[str]:
    return WorkQueue(EXACT)


async def taken(queue: WorkQueue[str]) -> str:
    async with queue.take() as key:
        return key


async def test_a_key_added_many_times_is_worked_on_once(queue: WorkQueue[str]) -> None:
    for _ in range(20):
        queue.add("chat")
    assert len(queue) == 1
    assert await taken(queue) == "chat"
    assert len(queue) == 0


async def test_keys_are_worked_on_in_the_order_in_which_they_came(queue: WorkQueue[str]) -> None:
    for key in ("a", "b", "a", "c"):
        queue.add(key)
    assert [await taken(queue) for _ in range(3)] == ["a", "b", "c"]


async def test_what_happens_during_a_resync_does_not_wait_for_its_end(queue: WorkQueue[str]) -> None:
    for number in range(1000):
        queue.add_patient(f"quiet {number}")
    await taken(queue)
    queue.add("failover")
    assert await taken(queue) == "failover"
    assert [await taken(queue) for _ in range(2)] == ["quiet 1", "quiet 2"], "in the order in which they came"
    assert len(queue) == 997


async def test_a_resync_ends_however_much_happens(queue: WorkQueue[str]) -> None:
    for number in range(3):
        queue.add_patient(f"quiet {number}")
    order = []
    for number in range(20):
        queue.add(f"busy {number}")
        queue.add(f"busy {number + 1}")
        order.append(await taken(queue))
    quiet = [place for place, key in enumerate(order) if key.startswith("quiet")]
    assert quiet == [AHEAD, 2 * AHEAD + 1, 3 * AHEAD + 2]


async def test_a_patient_key_goes_ahead_once_an_event_asks_for_it(queue: WorkQueue[str]) -> None:
    for key in ("a", "b", "c"):
        queue.add_patient(key)
    queue.add("c")
    queue.add_patient("c")
    assert [await taken(queue) for _ in range(3)] == ["c", "a", "b"]
    assert len(queue) == 0


async def test_a_patient_key_holds_up_no_deadline(queue: WorkQueue[str]) -> None:
    queue.add_after("chat", 2)
    queue.add_patient("chat")
    await taken(queue)
    await taken(queue)
    assert asyncio.get_running_loop().time() == 2


async def test_what_an_event_asks_for_during_the_work_is_no_longer_patient(queue: WorkQueue[str]) -> None:
    queue.add("chat")
    async with queue.take():
        queue.add_patient("chat")
        queue.add("chat")
        queue.add_patient("quiet")
    assert [await taken(queue) for _ in range(2)] == ["chat", "quiet"]


async def test_a_key_that_is_being_worked_on_is_not_given_to_another_worker(queue: WorkQueue[str]) -> None:
    queue.add("chat")
    async with queue.take():
        queue.add("chat")
        queue.add("other")
        assert await taken(queue) == "other"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await taken(queue)


async def test_what_is_added_during_the_work_is_worked_on_once_more(queue: WorkQueue[str]) -> None:
    queue.add("chat")
    async with queue.take():
        queue.add("chat")
        queue.add("chat")
    assert await taken(queue) == "chat"
    assert len(queue) == 0


async def test_a_worker_that_fails_gives_the_key_back_to_be_added_again(queue: WorkQueue[str]) -> None:
    queue.add("chat")
    with pytest.raises(ZeroDivisionError):
        async with queue.take():
            raise ZeroDivisionError
    queue.add("chat")
    assert await taken(queue) == "chat"


async def test_a_worker_that_waits_gets_the_key_as_soon_as_it_is_added(queue: WorkQueue[str]) -> None:
    waiting = asyncio.create_task(taken(queue))
    await asyncio.sleep(100)
    queue.add("chat")
    assert await waiting == "chat"
    assert asyncio.get_running_loop().time() == 100


async def test_of_two_delays_the_shorter_counts(queue: WorkQueue[str]) -> None:
    loop = asyncio.get_running_loop()
    queue.add_after("chat", 10)
    queue.add_after("chat", 2)
    queue.add_after("chat", 50)
    await taken(queue)
    assert loop.time() == 2
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(100):
            await taken(queue)


async def test_an_event_does_not_wait_for_a_delay(queue: WorkQueue[str]) -> None:
    queue.add_after("chat", 600)
    queue.add("chat")
    await taken(queue)
    assert asyncio.get_running_loop().time() == 0


async def test_failures_in_a_row_wait_twice_as_long_each_until_the_cap(queue: WorkQueue[str]) -> None:
    assert [queue.retry("chat") for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


async def test_a_success_makes_the_next_failure_the_first_again(queue: WorkQueue[str]) -> None:
    queue.retry("chat")
    queue.retry("chat")
    queue.forget("chat")
    assert queue.retry("chat") == 0.5


async def test_each_key_has_its_own_backoff(queue: WorkQueue[str]) -> None:
    queue.retry("chat")
    queue.retry("chat")
    assert queue.retry("other") == 0.5


async def test_how_long_a_key_waited_is_told() -> None:
    waits: list[float] = []
    queue: WorkQueue[str] = WorkQueue(EXACT, waits.append)
    queue.add("chat")
    await asyncio.sleep(3)
    await taken(queue)
    assert waits == [3]


@pytest.mark.parametrize(("chance", "delay"), [(0.0, 1.0), (0.5, 1.05), (1.0, 1.1)])
def test_jitter_only_lengthens(chance: float, delay: float) -> None:
    assert Backoff(first=1, cap=30).delay(1, lambda: chance) == pytest.approx(delay)


def test_a_thousand_failures_are_no_overflow() -> None:
    assert EXACT.delay(1000) == 30


async def test_a_key_whose_work_fails_stops_nobody_and_is_tried_again(queue: WorkQueue[str], caplog: pytest.LogCaptureFixture) -> None:
    worked: list[tuple[str, float]] = []

    async def work(key: str) -> None:
        worked.append((key, asyncio.get_running_loop().time()))
        if key == "bad" and len(worked) < 4:
            raise OverflowError("cannot convert float infinity to integer")

    queue.add("bad")
    queue.add("good")
    serving = asyncio.create_task(queue.serve(work))
    await asyncio.sleep(5)
    serving.cancel()
    assert worked == [("bad", 0), ("good", 0), ("bad", 0.5), ("bad", 1.5)], "by the backoff"
    assert [record.message for record in caplog.records] == ["a task failed"] * 2
    assert all(record.exc_info for record in caplog.records), "a bug of ours: with its traceback"
