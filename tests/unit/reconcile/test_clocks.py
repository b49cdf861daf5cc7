"""A status that an operator wrote whose clock was ahead, as the next one takes it over."""

from __future__ import annotations

from datetime import timedelta

from allod.domain.conditions import timestamp
from support.drive import Drive


async def test_moments_that_are_still_to_come_are_written_as_now_once() -> None:
    drive = Drive()
    drive.create(rollout={"bake": "1m"})
    await drive.settle()
    drive.now -= timedelta(hours=1)
    drive.restart()
    assert await drive.reconcile()
    status, now = drive.model()["status"], timestamp(drive.now)
    assert {status["traffic"]["since"], *(each["lastTransitionTime"] for each in status["conditions"])} == {now}
    drive.now += timedelta(seconds=30)
    assert not await drive.reconcile()
    drive.now += timedelta(seconds=31)
    await drive.settle()
    assert drive.model()["status"]["revisions"][0]["state"] == "Good"
