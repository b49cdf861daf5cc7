from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from box import containers, waiting
from cluster.models import Model, chat
from cluster.space import Space, answers, pod

if TYPE_CHECKING:
    from box import Box

pytestmark = pytest.mark.usefixtures("release")


def test_a_model_answers_through_its_service(space: Space) -> None:
    model = Model.apply(space, chat(replicas=2))
    model.wait("Ready", "True")
    assert model.ask().strip()
    status = model.status()
    assert status["url"] == f"http://chat.{space.name}.svc.cluster.local:8000/v1"
    assert status["activeRevision"] == status["desiredRevision"] == status["traffic"]["name"]
    assert (status["replicas"], status["readyReplicas"]) == (2, 2)
    assert len(model.endpoints()) == 2


def test_a_changed_spec_comes_up_beside_the_old_one_and_then_replaces_it(space: Space) -> None:
    model = Model.apply(space, chat())
    model.wait("Ready", "True")
    first = model.status()["activeRevision"]
    model = Model.apply(space, chat(engine={"type": "LlamaCpp", "maxModelLen": 1024, "threads": 1}))
    waiting.until("traffic has moved", lambda: model.status()["activeRevision"] != first, seconds=60)
    second = model.status()["activeRevision"]
    waiting.until(
        "the old pods are gone", lambda: {one["metadata"]["labels"]["allod.dev/revision"] for one in model.pods()} == {second}, seconds=60
    )
    assert model.ask().strip()
    assert {f"chat-{first}", f"chat-{second}"} <= set(space.kubectl("get", "controllerrevisions", "-o", "name").replace("/", "\n").split())
    assert any("2048 -> 1024" in event for event in model.events()), model.events()


def test_a_killed_engine_is_started_again_and_serves(space: Space, box: Box) -> None:
    model = Model.apply(space, chat())
    model.wait("Ready", "True")
    name = model.pods()[0]["metadata"]["name"]
    containers.send(box.processes(f"{space.name}/{name}"), signal.SIGKILL)

    def restarted() -> bool:
        status = model.pods()[0]["status"]["containerStatuses"][0]
        return bool(status["restartCount"] == 1 and status["ready"])

    waiting.until("the engine was restarted", restarted, seconds=60)
    model.wait("Ready", "True")
    assert model.ask().strip()


def test_only_the_namespace_of_a_model_may_reach_it(space: Space) -> None:
    model = Model.apply(space, chat())
    model.wait("Ready", "True")
    inside, outside = "client", "stranger"
    space.run(pod(inside))
    neighbour = Space.make(space.box, f"{space.name}-next")
    try:
        neighbour.run(pod(outside))
        url = f"http://chat.{space.name}:8000/v1/models"
        waiting.until("a pod of its namespace reaches it", lambda: answers(space, inside, url), seconds=20)
        assert not answers(neighbour, outside, url)
    finally:
        neighbour.delete()


def test_replicas_are_scaled_in_place_by_kubectl_scale(space: Space) -> None:
    model = Model.apply(space, chat())
    model.wait("Ready", "True")
    before = model.pods()[0]["metadata"]["uid"]
    space.kubectl("scale", "mdl/chat", "--replicas=2")
    waiting.until("two pods are ready", lambda: model.status().get("readyReplicas") == 2, seconds=60)
    assert before in {one["metadata"]["uid"] for one in model.pods()}
    space.kubectl("scale", "mdl/chat", "--replicas=0")
    waiting.until("no pod is left", lambda: not model.pods(), seconds=60)


def test_deleting_a_model_leaves_nothing(space: Space) -> None:
    model = Model.apply(space, chat())
    model.wait("Ready", "True")
    space.kubectl("delete", "mdl", "chat")
    kinds = "statefulsets,services,configmaps,controllerrevisions,networkpolicies,poddisruptionbudgets,pods"
    waiting.until(
        "everything of it is gone", lambda: not space.kubectl("get", kinds, "-l", "allod.dev/model=chat", "-o", "name").strip(), seconds=60
    )


def test_what_somebody_changes_by_hand_is_repaired(space: Space) -> None:
    model = Model.apply(space, chat())
    model.wait("Ready", "True")
    space.kubectl("delete", "networkpolicy", "chat")
    space.kubectl("patch", "service", "chat", "--type=merge", "-p", '{"spec":{"selector":{"allod.dev/revision":"00000000"}}}')
    waiting.until(
        "the policy is back", lambda: bool(space.kubectl("get", "networkpolicy", "chat", "--ignore-not-found", "-o", "name")), seconds=20
    )
    waiting.until("the Service points at the pods again", lambda: bool(model.endpoints()), seconds=20)
