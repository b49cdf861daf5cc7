"""Bad input and missing things, on real nodes: each a sentence for a person, nothing else disturbed, no GPU held, nothing left behind."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from allod.adapters.resources import MODELDEPLOYMENTS
from box import waiting
from box.errors import BoxError
from cluster.asker import Asker
from cluster.models import GGUF, Model, chat
from cluster.space import Space

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from box import Box
    from cluster.release import Release

KINDS = "statefulsets,services,configmaps,controllerrevisions,networkpolicies,poddisruptionbudgets,pods,podmonitors,prometheusrules"


@pytest.fixture(scope="module")
def neighbour(box: Box, release: Release, _busybox: None) -> Iterator[Asker]:  # noqa: ARG001  the operator must be there
    """A model in another namespace that serves all the time, and its client."""
    space = Space.make(box, "next-door")
    Model.apply(space, chat()).wait("Ready", "True", seconds=90)
    asker = Asker.start(space, "chat")
    waiting.until("the neighbour answers", lambda: asker.last() == "chat", seconds=30)
    yield asker
    space.delete()


@pytest.fixture(autouse=True)
def undisturbed(neighbour: Asker) -> Iterator[None]:
    """Whatever is wrong with one model, another one answers each request and keeps its pod."""
    before, asked = lives(neighbour.space), len(neighbour.told())
    yield
    assert lives(neighbour.space) == before
    assert {who for _, who in neighbour.told()[asked:]} == {"chat"}


def lives(space: Space) -> list[tuple[str, int]]:
    """Of its pods: uid and restarts."""
    pods = json.loads(space.kubectl("get", "pods", "-l", "allod.dev/model", "-o", "json"))["items"]
    return [(pod["metadata"]["uid"], each["restartCount"]) for pod in pods for each in pod["status"]["containerStatuses"]]


def gpus_held(model: Model) -> int:
    """By pods that have a node."""
    limits = [pod["spec"]["containers"][0].get("resources", {}).get("limits", {}) for pod in model.pods() if pod["spec"].get("nodeName")]
    return sum(int(each.get("nvidia.com/gpu", 0)) for each in limits)


def gone(model: Model) -> None:
    """It is deleted, and nothing of it is left."""
    model.space.kubectl("delete", "mdl", model.name)
    mine = ("-l", f"allod.dev/model={model.name}", "-o", "name")
    waiting.until("everything of it is gone", lambda: not model.space.kubectl("get", KINDS, *mine).strip(), seconds=60)


LLAMA = {"type": "LlamaCpp", "maxModelLen": 2048, "threads": 1}
SMALL = {"cpu": "100m", "memory": "512Mi"}


def test_tensor_parallel_four_on_one_gpu_is_refused_at_apply(space: Space) -> None:
    manifest = chat(engine={"type": "vLLM"}, parallelism={"tensor": 4}, resources={**SMALL, "gpu": {"count": 1}})
    with pytest.raises(BoxError, match=r"parallelism.tensor 4 x parallelism.pipeline 1 needs 4 GPUs"):
        Model.apply(space, manifest)


CASES: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "a flag that the engine does not know": (
        {"engine": {**LLAMA, "args": {"no-such-flag": "1"}}},
        *("Degraded", "UnknownFlag", r"no-such-flag"),
    ),
    "an image that nobody has": (
        {"engine": {**LLAMA, "image": "allod.test/nobody:1"}},
        *("Degraded", "ImagePull", r"allod\.test/nobody:1"),
    ),
    "a model image that nobody has": (
        {"model": {"uri": "oci://allod.test/none:1/m.gguf"}},
        *("Degraded", "ModelImagePull", r"allod\.test/none:1"),
    ),
    "a path that is not in the image": (
        {"model": {"uri": GGUF.replace("model.gguf", "gone.gguf")}},
        *("ModelAvailable", "ModelMissing", r"gone\.gguf"),
    ),
    "a claim that does not exist": (
        {"model": {"uri": "pvc://nowhere/model.gguf"}},
        *("Degraded", "ClaimNotFound", r"nowhere"),
    ),
    "a file that makes no embeddings": (
        {"model": {"uri": GGUF, "task": "Embed"}},
        *("ModelAvailable", "PoolingMissing", r"set pooling in engine\.args to mean, cls or last"),
    ),
    "less memory than the model needs": (
        {"resources": {"cpu": "100m", "memory": "128Mi"}},
        *("FitsMemory", "DoesNotFit", r"\d+(\.\d+)? [GM]iB"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_serve_says_why(space: Space, case: str) -> None:
    spec, kind, reason, says = CASES[case]
    model = Model.apply(space, chat(**spec))
    message = model.wait(kind, "True" if kind == "Degraded" else "False", reason, seconds=120)
    assert re.search(says, message), message
    assert model.condition("Ready")["status"] == "False"
    gone(model)


def test_gpus_that_are_not_there_are_named_and_counted(space: Space) -> None:
    gpu = {"count": 8}
    spec: dict[str, Any] = {
        "engine": {"type": "vLLM", "image": "allod.test/llama.cpp:dev"},
        "parallelism": {"tensor": 8},
        "resources": {**SMALL, "gpu": gpu},
    }
    model = Model.apply(space, chat(**spec))
    message = model.wait("GPUsAvailable", "False", "InsufficientGPUs")
    assert "needs 8 nvidia.com/gpu" in message
    assert gpus_held(model) == 0
    gone(model)


def test_a_bad_revision_never_replaces_the_good_one(space: Space) -> None:
    model = Model.apply(space, chat())
    model.wait("Ready", "True")
    good = model.status()["activeRevision"]
    Model.apply(space, chat(engine={**LLAMA, "image": "allod.test/nobody:2"}))
    model.wait("Degraded", "True", "ImagePull", seconds=120)
    assert model.condition("Ready")["status"] == "True"
    assert model.status()["traffic"]["name"] == good
    assert model.ask().strip()


def test_of_two_models_with_one_name_the_older_keeps_it(space: Space) -> None:
    older = Model.apply(space, chat("older", model={"uri": GGUF, "servedName": "assistant"}))
    older.wait("Ready", "True")
    younger = Model.apply(space, chat("younger", model={"uri": GGUF, "servedName": "assistant"}))
    assert "older" in younger.wait("Degraded", "True", "NameTaken")
    assert not younger.pods()
    assert older.ask(name="assistant").strip()
    space.kubectl("delete", "mdl", "older")
    younger.wait("Ready", "True", seconds=90)


def test_twenty_edits_in_a_second_end_in_the_last(space: Space) -> None:
    model = Model.apply(space, chat())
    # A busy machine may be too slow for twenty, which would try nothing: then twenty others.
    last = next(
        (first + 19 for first in range(1024, 1024 + 5 * 20, 20) if seconds_to_edit(space, range(first, first + 20)) < 1),
        None,
    )
    assert last, "the API server took more than a second for twenty edits, five times: this machine cannot try it"

    def settled() -> bool:
        seen = model.seen()
        status = seen.get("status") or {}
        one = {pod["metadata"]["labels"]["allod.dev/revision"] for pod in model.pods()}
        newest = status.get("observedGeneration") == seen["metadata"]["generation"]
        alone = one == {status.get("activeRevision")} == {status.get("desiredRevision")}
        return newest and alone and len(space.listed("statefulset")) == 1

    waiting.until("the last edit serves alone", settled, seconds=120)
    assert model.wait("Ready", "True")
    (serves,) = space.listed("statefulset")
    assert f'"{last}"' in json.dumps(serves["spec"]["template"]["spec"]["containers"])


def seconds_to_edit(space: Space, lengths: Iterable[int]) -> float:
    """One edit of engine.maxModelLen for each length."""
    began = time.monotonic()
    edits = ({"spec": {"engine": {"maxModelLen": length}}} for length in lengths)
    space.box.plane.api.patch_each(MODELDEPLOYMENTS.path(space.name, "chat"), edits)
    return time.monotonic() - began


def test_a_model_deleted_in_the_middle_of_a_rollout_leaves_nothing(space: Space) -> None:
    model = Model.apply(space, chat())
    model.wait("Ready", "True")
    Model.apply(space, chat(engine={**LLAMA, "image": "allod.test/nobody:3"}))
    waiting.until(
        "two revisions are there", lambda: len({pod["metadata"]["labels"]["allod.dev/revision"] for pod in model.pods()}) == 2, seconds=30
    )
    gone(model)
