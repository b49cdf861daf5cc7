"""A model that cannot answer: its standby does, on real nodes, and a bad revision goes back while a client notices nothing."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from box import Box, containers, waiting
from cluster.asker import Asker
from cluster.models import HUNG_UP, Model, chat

if TYPE_CHECKING:
    from box.containers import Process
    from cluster.release import Release
    from cluster.space import Space

STANDBY = {"modelDeploymentRef": {"name": "small"}}
HOLD = 8
HEALTH = {"drainTimeout": "1s", "hangTimeout": "3s", "failover": {"holdFor": f"{HOLD}s"}}


def small(**spec: Any) -> dict[str, Any]:
    """The standby: it answers to the name of its primary too."""
    return chat("small", model={**chat()["spec"]["model"], "aliases": ["chat"]}, **spec)


def uptime() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])


@pytest.fixture
def pair(space: Space, release: Release) -> tuple[Model, Model, Asker]:  # noqa: ARG001  the operator must be there
    """A model, its standby, and a client that asks all the time."""
    standby = Model.apply(space, small())
    model = Model.apply(space, chat(standby=STANDBY, health=HEALTH))
    model.wait("Ready", "True")
    standby.wait("Ready", "True")
    model.wait("StandbyReady", "True", "Serving")
    asker = Asker.start(space, "chat")
    waiting.until("the client gets answers", lambda: asker.last() == "chat", seconds=20)
    return model, standby, asker


def engines(box: Box, model: Model) -> list[Process]:
    """Processes of its engines, those that run: a pod that is only just made has none."""
    return [
        pid
        for pod in model.pods()
        if any(status.get("started") for status in pod["status"].get("containerStatuses", ()))
        for pid in box.processes(f"{model.space.name}/{pod['metadata']['name']}", "engine", match="llama-server")
    ]


def test_a_frozen_engine_hands_over_to_the_standby_and_takes_back_when_it_held(pair: tuple[Model, Model, Asker], box: Box) -> None:
    model, _, asker = pair
    frozen = uptime()
    containers.send(engines(box, model), signal.SIGSTOP)
    waiting.until("the standby answers", lambda: asker.last() == "small", seconds=30)
    model.wait("FailedOver", "True", "FailedOver")
    model.wait("Ready", "True", "StandbyServing")
    # Frozen for longer than liveness forgives, it is started again by its kubelet.
    waiting.until("the model answers again", lambda: asker.last() == "chat", seconds=90)
    model.wait("FailedOver", "False", "AtHome")
    model.has_done("Recovered", "FailedOver")
    told = asker.since(frozen)
    first = told.index("small")
    assert "small" not in told[told.index("chat", first) :], f"it went there once and came back once: {told}"
    assert told[first:].count("lost") == 0, f"nothing is lost once the standby answers: {told}"


def test_a_killed_engine_that_is_back_at_once_still_holds_before_traffic_returns(pair: tuple[Model, Model, Asker], box: Box) -> None:
    model, _, asker = pair
    containers.send(engines(box, model), signal.SIGKILL)
    waiting.until("the standby answers", lambda: asker.last() == "small", seconds=20)
    waiting.until("the model answers again", lambda: asker.last() == "chat", seconds=60)
    model.tells("FailedOver: ", "-> small: 0 of 1 pods serve")
    model.tells("Recovered: ", f"held {HOLD}s")


def test_a_cold_standby_starts_when_it_is_needed_and_sleeps_again(space: Space, release: Release, box: Box) -> None:  # noqa: ARG001
    standby = Model.apply(space, small(replicas=0))
    # Its kubelet has patience until the standby has started.
    model = Model.apply(space, chat(standby=STANDBY, health=HEALTH | {"hangTimeout": "30s"}))
    model.wait("Ready", "True")
    model.wait("StandbyReady", "False", "StandbyCold")
    waiting.until("the standby sleeps", lambda: not standby.pods(), seconds=20)
    containers.send(engines(box, model), signal.SIGSTOP)
    model.wait("FailedOver", "True", "FailedOver", seconds=60)
    model.wait("Ready", "True", "StandbyServing")
    assert model.ask().strip(), "clients go on with the name that they know"
    model.wait("FailedOver", "False", "AtHome", seconds=120)
    waiting.until("the standby sleeps again", lambda: not standby.pods(), seconds=60)


def test_a_bad_revision_is_rolled_back_while_the_client_notices_nothing(space: Space, release: Release, box: Box) -> None:  # noqa: ARG001
    model = Model.apply(space, chat(rollout={"bake": "5s"}))
    model.wait("Ready", "True")
    good = model.status()["activeRevision"]
    waiting.until("it is good", lambda: model.status()["revisions"][0]["state"] == "Good", seconds=30)
    asker = Asker.start(space, "chat")
    waiting.until("the client gets answers", lambda: asker.last() == "chat", seconds=20)
    begun = uptime()
    engine = {**chat()["spec"]["engine"], "maxModelLen": 1024}
    space.apply(chat(rollout={"bake": "10m"}, engine=engine))
    waiting.until("traffic moved", lambda: model.status()["activeRevision"] != good, seconds=60)
    bad = model.status()["activeRevision"]
    assert len({pod["metadata"]["labels"]["allod.dev/revision"] for pod in model.pods()}) == 2, "the old pods stay while the new ones bake"
    pods = [pod for pod in model.pods() if pod["metadata"]["labels"]["allod.dev/revision"] == bad]
    for pod in pods:
        containers.send(box.processes(f"{space.name}/{pod['metadata']['name']}", "engine", match="llama-server"), signal.SIGKILL)
    waiting.until("the good one serves again", lambda: model.status()["activeRevision"] == good, seconds=30)
    # One that its kubelet starts at once listens 0.2 s after it died: whoever connects a moment later hears that it loads.
    message = model.wait("Degraded", "True")
    assert HUNG_UP.search(message) or "0 of 1 pods ready within its bake time" in message, message
    assert model.condition("Ready")["status"] == "True"
    assert {one["name"]: one["state"] for one in model.status()["revisions"]}[bad] == "Failed"
    told = asker.since(begun)
    # The dead process refuses until the Service has moved: its requests are lost, and nobody else's.
    assert told.count("lost") <= 15, told
    space.kubectl("annotate", "mdl/chat", f"allod.dev/retry-revision={bad}")
    waiting.until("it was tried again", lambda: model.status()["activeRevision"] == bad, seconds=60)


def test_a_drill_moves_traffic_for_a_moment_and_loses_no_request(pair: tuple[Model, Model, Asker]) -> None:
    model, _, asker = pair
    Model.apply(model.space, chat(standby=STANDBY | {"drill": {"schedule": "0 3 29 2 *", "duration": "10s"}}, health=HEALTH))
    begun = uptime()
    model.space.kubectl("annotate", f"mdl/{model.name}", "allod.dev/drill=first")
    waiting.until("the standby answers", lambda: asker.last() == "small", seconds=20)
    model.wait("FailedOver", "True", "Drill")
    waiting.until("the model answers again", lambda: asker.last() == "chat", seconds=20)
    model.wait("FailedOver", "False", "AtHome")
    drill = model.status()["standby"]["lastDrill"]
    assert (drill["result"], drill["standby"]) == ("Passed", "small")
    assert float(drill["activationSeconds"]) < 10
    told = asker.since(begun)
    assert told.count("lost") == 0, f"nothing was broken, so nothing may be lost: {told}"
    model.has_done("DrillPassed", "DrillStarted")
