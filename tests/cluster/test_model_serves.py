from __future__ import annotations

import math
import signal
from typing import TYPE_CHECKING

import pytest

from box import containers, waiting
from box.image.model import GGUF_NAME
from cluster.models import FOLDER, Model, chat, posted, request
from cluster.space import Space, answers, claim, pod, restricted

if TYPE_CHECKING:
    from box import Box
    from cluster.space import Manifest

pytestmark = pytest.mark.usefixtures("release")


def test_a_model_answers_through_its_service(space: Space) -> None:
    model = Model.apply(space, chat(replicas=2))
    model.wait("Ready", "True")
    waiting.until("both pods serve", lambda: model.status()["readyReplicas"] == len(model.endpoints()) == 2, seconds=60)
    assert model.ask().strip()
    status = model.status()
    assert status["url"] == f"http://chat.{space.name}.svc.cluster.local:8000/v1"
    assert status["activeRevision"] == status["desiredRevision"] == status["traffic"]["name"]
    assert status["replicas"] == 2


def copied_to(claim: str) -> Manifest:
    """A Pod that puts the model into a claim, as the person does who brings it, and ends."""
    volumes = [{"name": "to", "persistentVolumeClaim": {"claimName": claim}}, {"name": "from", "image": {"reference": GGUF_NAME}}]
    mounts = [{"name": each["name"], "mountPath": f"/{each['name']}"} for each in volumes]
    return pod("writer", "cp /from/model.gguf /to", volumes=volumes, container={"volumeMounts": mounts}, restartPolicy="Never")


def test_a_model_on_a_claim_is_inspected_and_served(space: Space) -> None:
    space.apply(claim("models"), copied_to("models"))
    space.wait("jsonpath={.status.phase}=Succeeded", "pod/writer")
    model = Model.apply(space, chat(model={"uri": "pvc://models/model.gguf"}))
    room = model.wait("FitsMemory", "True")
    assert "MiB" in room, room
    model.wait("ModelAvailable", "True")
    model.wait("Ready", "True")
    assert model.ask().strip()
    assert model.status()["fit"]["parameters"] > 100_000_000


def test_an_embedding_model_answers_with_vectors_to_texts_as_long_as_it_promises(space: Space) -> None:
    engine = {"type": "LlamaCpp", "maxModelLen": 2048, "threads": 1, "args": {"pooling": "mean"}}  # the model's file names none: it chats
    model = Model.apply(space, chat(model={**chat()["spec"]["model"], "task": "Embed"}, engine=engine))
    model.wait("Ready", "True")
    short = posted(space, "chat", "/v1/embeddings", {"model": "chat", "input": ["king", "queen", "a bill of lading"]})
    king, queen, bill = (each["embedding"] for each in short["data"])
    assert len(king) == 576
    assert alike(king, queen) > alike(king, bill)
    long = posted(space, "chat", "/v1/embeddings", {"model": "chat", "input": "king " * 600})
    assert long["usage"]["prompt_tokens"] > 512, "more than llama.cpp takes without being told"


def alike(one: list[float], other: list[float]) -> float:
    """The cosine of their angle."""
    return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))


def test_a_model_with_a_key_answers_those_who_have_it_and_is_watched_all_the_same(space: Space, box: Box) -> None:
    space.kubectl("create", "secret", "generic", "chat-key", "--from-literal=key=right")
    key = {"name": "LLAMA_API_KEY", "valueFrom": {"secretKeyRef": {"name": "chat-key", "key": "key"}}}
    model = Model.apply(space, chat(engine={"type": "LlamaCpp", "maxModelLen": 2048, "threads": 1, "env": [key]}))
    model.wait("Ready", "True")
    space.run(pod("client"))
    asks = request("http://chat:8000", "chat", "What is Kubernetes?")
    authorized = asks.replace("--header", "--header 'Authorization: Bearer right' --header", 1)
    waiting.until("who has the key is answered", lambda: "choices" in space.inside("client", authorized), seconds=20)
    assert "401" in space.inside("client", f"({asks.replace('wget -q', 'wget')}) 2>&1")
    name = model.pods()[0]["metadata"]["name"]
    containers.send(box.processes(f"{space.name}/{name}"), signal.SIGSTOP)
    model.wait("Ready", "False")


def test_a_namespace_of_restricted_pods_takes_a_model_and_says_why_it_takes_no_folder_of_a_node(space: Space) -> None:
    space.kubectl("label", "namespace", space.name, "pod-security.kubernetes.io/enforce=restricted")
    space.run(restricted(pod("client")))
    model = Model.apply(space, chat())
    model.wait("Ready", "True")
    assert model.ask().strip()
    folder = Model.apply(space, chat("folder", model={"uri": f"file://{FOLDER}/model.gguf"}))
    says = folder.wait("Degraded", "True", "PodRefused")
    assert 'violates PodSecurity "restricted:latest"' in says
    assert says.endswith("file:// is a folder of a node (hostPath), which this namespace does not admit: use pvc:// or oci://")
    assert not folder.pods()


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
    model.tells("2048 -> 1024")


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


def test_only_the_namespace_of_a_model_may_reach_it_or_whom_it_names(space: Space) -> None:
    inside, outside = "client", "stranger"
    url = f"http://chat.{space.name}:8000/v1/models"
    neighbour = Space.make(space.box, f"{space.name[:50]}-next")
    named = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": neighbour.name}}}
    try:
        model = Model.apply(space, chat(networkPolicy={"allowFrom": [named]}))
        space.run(pod(inside))
        neighbour.run(pod(outside))
        model.wait("Ready", "True")
        waiting.until("the neighbour that is named reaches it", lambda: answers(neighbour, outside, url), seconds=20)
        assert not answers(space, inside, url), "its own namespace is not named"

        Model.apply(space, chat())
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


def test_a_model_that_is_deleted_and_applied_again_starts_when_its_old_pod_has_ended(space: Space) -> None:
    drains = chat(health={"drainTimeout": "10s"})
    model = Model.apply(space, drains)
    model.wait("Ready", "True")
    (old,) = model.pods()
    space.kubectl("delete", "mdl", "chat")
    Model.apply(space, drains)
    waits = f"starts when {old['metadata']['name']} has ended, which answers its last requests"
    assert model.wait("Ready", "False", "Starting").endswith(waits)
    model.wait("Ready", "True")
    assert old["metadata"]["uid"] not in {each["metadata"]["uid"] for each in model.pods()}
    told = space.listed("event", fields="regarding.kind=StatefulSet")
    assert "FailedCreate" not in {each["reason"] for each in told}, "a StatefulSet that fails once tries again after ever longer pauses"


def test_what_somebody_changes_by_hand_is_repaired(space: Space) -> None:
    model = Model.apply(space, chat())
    model.wait("Ready", "True")
    space.kubectl("delete", "networkpolicy", "chat")
    space.kubectl("patch", "service", "chat", "--type=merge", "-p", '{"spec":{"selector":{"allod.dev/revision":"00000000"}}}')
    waiting.until(
        "the policy is back", lambda: bool(space.kubectl("get", "networkpolicy", "chat", "--ignore-not-found", "-o", "name")), seconds=20
    )
    waiting.until("the Service points at the pods again", lambda: bool(model.endpoints()), seconds=20)
