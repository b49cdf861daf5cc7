"""What is told in `kubectl describe` and in the log: each step when it is taken, and as often."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from allod.adapters.errors import Invalid, Unavailable
from allod.domain.manifest import ref
from allod.domain.plan import Event
from allod.reconcile.apply import TELL_AGAIN, TELLING, UNTOLD, Apply
from allod.reconcile.tell import event
from allod.runtime.store import Store
from support.drive import NAMESPACE, Drive

if TYPE_CHECKING:
    from allod.domain.manifest import Manifest


@pytest.fixture
def drive() -> Drive:
    return Drive()


async def settled(drive: Drive, **changes: Any) -> str:
    drive.create(**changes)
    await drive.settle()
    return str(drive.model()["status"]["activeRevision"])


async def test_a_step_is_told_once_and_logged_once(drive: Drive, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "allod"):
        await settled(drive)
        drive.restart()
        await drive.reconcile()
    reasons = [each["reason"] for each in drive.cluster.of_kind("Event")]
    assert reasons.count("RevisionCreated") == 1
    told = [record for record in caplog.records if record.__dict__.get("reason") == "RevisionCreated"]
    assert len(told) == 1


async def test_a_step_that_is_taken_again_is_counted_in_its_event_and_logged_again(drive: Drive, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "allod"):
        revision = await settled(drive)
        for _ in range(2):
            drive.nodes.fates[f"chat-{revision}"] = "Starting"
            await drive.settle()
            drive.nodes.fates[f"chat-{revision}"] = "Ready"
            await drive.settle()
    ready = [each for each in drive.cluster.of_kind("Event") if each["reason"] == "Ready"]
    assert [each["series"]["count"] for each in ready] == [3]
    told = [record for record in caplog.records if record.__dict__.get("reason") == "Ready"]
    assert len(told) == 3


async def test_a_model_that_cannot_be_understood_is_told_once(drive: Drive) -> None:
    await settled(drive)
    drive.edit(engine={"type": "Quantum"})
    for _ in range(3):
        await drive.settle()
        await drive.reconcile()
    (told,) = [each for each in drive.cluster.of_kind("Event") if each["reason"] == "InvalidSpec"]
    assert (told["type"], "series" in told) == ("Warning", False)
    assert told["note"] == drive.condition("Degraded")["message"]


async def test_a_model_that_stays_refused_does_not_say_so_at_each_look(drive: Drive) -> None:
    drive.cluster.add({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "chat", "namespace": NAMESPACE}, "spec": {}})
    drive.create()
    await drive.settle()
    before = list(drive.cluster.writes)
    for _ in range(5):
        drive.now += timedelta(minutes=1)
        await drive.reconcile()
    assert drive.cluster.writes == before


async def test_of_a_sentence_that_is_too_long_for_an_event_whole_characters_are_kept(drive: Drive) -> None:
    drive.create()
    note = event(drive.model(), Event("Refused", "\u00fc" * 2000), drive.now, "allod-0")["note"]
    assert note == "\u00fc" * 512


async def test_an_event_that_is_refused_does_not_stop_the_model(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> Manifest:
        raise Invalid("the namespace is being terminated")

    monkeypatch.setattr(drive.cluster, "create", refuse)
    await settled(drive)
    assert drive.condition("Ready")["status"] == "True"


class Busy:
    """An API server that cannot take events for a while."""

    def __init__(self, drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refuses: tuple[str, ...] = ()
        """Reasons of the events that it does not take."""
        self.tried: list[str] = []
        self._takes = drive.cluster.create
        monkeypatch.setattr(drive.cluster, "create", self._create)

    async def _create(self, manifest: Manifest) -> Manifest:
        self.tried.append(manifest["reason"])
        if manifest["reason"] in self.refuses:
            raise Unavailable("too many requests")
        return await self._takes(manifest)


def reasons(drive: Drive) -> list[str]:
    return sorted(each["reason"] for each in drive.cluster.of_kind("Event"))


async def test_an_event_that_fails_keeps_no_other_from_being_told_and_comes_later(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Busy(drive, monkeypatch)
    revision = await settled(drive)
    told = reasons(drive)
    busy.refuses = ("NotReady",)
    drive.edit(standby={"modelDeploymentRef": {"name": "small"}})
    drive.nodes.fates[f"chat-{revision}"] = "CrashLoopBackOff"
    await drive.settle()
    others = reasons(drive)
    assert len(others) > len(told), "what came with it was told"
    assert "NotReady" not in others
    busy.refuses = ()
    await drive.reconcile()
    assert reasons(drive) == others, "looks follow one another, and each would wait for it"
    drive.now += TELL_AGAIN
    await drive.reconcile()
    assert reasons(drive) == sorted([*others, "NotReady"])
    before = len(busy.tried)
    await drive.reconcile()
    assert len(busy.tried) == before, "once"


async def test_what_could_not_be_told_is_tried_again_though_nothing_happens(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Busy(drive, monkeypatch)
    busy.refuses = ("RevisionCreated", "Ready")
    await settled(drive)
    outcome = await drive.look()
    assert (outcome.changed, outcome.requeue_after) == (False, TELL_AGAIN)
    drive.now += TELL_AGAIN
    busy.refuses = ()
    assert (await drive.look()).requeue_after is None
    assert reasons(drive) == ["Ready", "RevisionCreated"]


async def test_an_event_that_was_made_though_no_answer_came_is_not_counted_twice(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    takes = drive.cluster.create

    async def unheard(manifest: Manifest) -> Manifest:
        await takes(manifest)
        raise Unavailable("no answer")

    monkeypatch.setattr(drive.cluster, "create", unheard)
    await settled(drive)
    monkeypatch.setattr(drive.cluster, "create", takes)
    drive.now += timedelta(minutes=1)
    await drive.reconcile()
    assert [each for each in drive.cluster.of_kind("Event") if "series" in each] == []


async def test_of_what_could_not_be_told_the_newest_is_kept_while_the_model_is_there(drive: Drive) -> None:
    apply = Apply(drive.cluster, Store(), "allod-0")
    model = drive.cluster.objects[drive.create()]
    said = [Event(f"Step{number}", "", "Warning") for number in range(100)]
    drive.cluster.down = True
    assert await apply.events(model, said, drive.now)
    drive.cluster.down = False
    assert not await apply.events(model, (), drive.now + TELL_AGAIN)
    assert reasons(drive) == sorted(each.reason for each in said[-UNTOLD:])
    drive.cluster.down = True
    await apply.events(model, [Event("Last", "", "Warning")], drive.now)
    drive.cluster.down = False
    apply.forget(ref(model))
    assert not await apply.events(model, (), drive.now + TELL_AGAIN)
    assert "Last" not in reasons(drive)


async def test_events_whose_etcd_hangs_hold_up_a_look_for_a_moment_and_come_later(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allod.reconcile.apply.TELLING", TELLING / 100)
    takes = drive.cluster.create

    async def hangs(_: Manifest) -> Manifest:
        await asyncio.sleep(60)
        raise Unavailable("no answer")

    monkeypatch.setattr(drive.cluster, "create", hangs)
    async with asyncio.timeout(10):
        await settled(drive)
    monkeypatch.setattr(drive.cluster, "create", takes)
    drive.now += TELL_AGAIN
    await drive.reconcile()
    assert reasons(drive) == ["Ready", "RevisionCreated"]
