"""What is seen of a hub that does not give a model, and what a person is told of it.

By images/engine/hub.py, which asks before vLLM does, or by what vLLM 0.32 printed last against a mirror that refuses
(tests/support/hub.py).
"""

from __future__ import annotations

from typing import Any

import pytest

from allod.domain.serving.health.findings import first_finding
from unit.domain.hubs import COMMIT, HUB, MIRROR, MODEL, NOT_ACCEPTED, Case, seen
from unit.domain.simulation import World, starting

NO_REPOSITORY = f"""\
OSError: {MODEL} is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'
If this is a private repository, make sure to pass a token having permission to this repo either by logging in with `hf auth login` or by \
passing `token=<your_token>`
"""
NO_REVISION = f"""\
OSError: {COMMIT} is not a valid git identifier (branch name, tag name or commit id) that exists for this model name. Check the model \
page at 'https://huggingface.co/{MODEL}' for available revisions.
"""
BAD_TOKEN = f"""\
OSError: There was a specific connection error when trying to load {MODEL}:
Client error '401 Unauthorized' for url '{HUB}/{MODEL}/resolve/{COMMIT}/config.json'
For more information check: https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/401

Invalid credentials in Authorization header
"""
GATED = f"""\
OSError: You are trying to access a gated repo.
Make sure to have access to it at https://huggingface.co/{MODEL}.
403 Client Error.

Cannot access gated repo for url {HUB}/{MODEL}/resolve/{COMMIT}/config.json.
Access to model {MODEL} is restricted.
"""
NO_ANSWER = f"""\
OSError: We couldn't connect to '{HUB}' to load the files, and couldn't find them in the cached files.
Check your internet connection or see how to run the library in offline mode at \
'https://huggingface.co/docs/transformers/installation#offline-mode'.
"""
UNAVAILABLE = (
    f"the engine cannot download from {HUB}: its name, port 443 (the only one that the model's NetworkPolicy opens), its certificate, "
    "or its answers; kubectl logs smol-5b21aa0c-0 -c engine --previous says which"
)
CASES = [
    Case(
        "a repository that is not there, or private for the token's owner",
        NO_REPOSITORY,
        "ModelNotFound",
        f"{HUB} has no repository {MODEL}, or does not show it to the owner of the token in Secret hub: correct model.uri, or ask for "
        "access there",
    ),
    Case(
        "a private repository without a token",
        NO_REPOSITORY,
        "ModelNotFound",
        f"{HUB} has no repository {MODEL}, or does not show it to who has no token: correct model.uri, or name a Secret with a token in "
        "model.secretRef",
        MIRROR,
    ),
    Case(
        "a repository that Hugging Face itself does not have",
        NO_REPOSITORY,
        "ModelNotFound",
        f"https://huggingface.co has no repository {MODEL}, or does not show it to who has no token: correct model.uri, or name a Secret "
        "with a token in model.secretRef",
        {},
    ),
    Case(
        "a commit that the repository does not have",
        NO_REVISION,
        "ModelNotFound",
        f"{MODEL} has no revision {COMMIT} on {HUB}: correct model.revision",
    ),
    Case("a token that the hub does not know", BAD_TOKEN, "ModelAccessRefused", NOT_ACCEPTED),
    Case(
        "the same in another process of vLLM, which names itself on each line",
        "\n".join(f"(APIServer pid=1) {line}" for line in BAD_TOKEN.splitlines()),
        "ModelAccessRefused",
        NOT_ACCEPTED,
    ),
    Case(
        "a hub that wants a token and says so by 401",
        BAD_TOKEN,
        "ModelAccessRefused",
        f"{HUB} wants a token for {MODEL}, or has no such repository: name a Secret with a token in model.secretRef, or correct model.uri",
        MIRROR,
    ),
    Case(
        "a gated repository",
        GATED,
        "ModelAccessRefused",
        f"{HUB} does not show {MODEL} to the owner of the token in Secret hub: ask for access there",
    ),
    Case(
        "a mirror whose address carries a password",
        NO_REVISION,
        "ModelNotFound",
        f"{MODEL} has no revision {COMMIT} on {HUB}: correct model.revision",
        {"engine": {"env": [{"name": "HF_ENDPOINT", "value": "https://robot:secret@hub.example.com"}]}},
    ),
    Case(
        "the same, from the engine's own words",
        NO_ANSWER.replace("https://", "https://robot:secret@"),
        "HubUnavailable",
        UNAVAILABLE,
    ),
    Case(
        "a mirror that cannot be reached",
        NO_ANSWER,
        "HubUnavailable",
        UNAVAILABLE,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_why_a_model_was_not_downloaded_is_said_at_its_first_end(case: Case) -> None:
    found = first_finding(seen(case.words, case.spec))
    assert found is not None
    assert (found.reason, found.gives_up) == (case.reason, "Never")
    assert found.message == case.says


@pytest.mark.parametrize("words", [NO_REPOSITORY, NO_REVISION, BAD_TOKEN, GATED, NO_ANSWER])
def test_it_is_given_up_for_another_revision_only_after_as_many_ends_as_a_crash_loop(words: str) -> None:
    assert [found.gives_up for restarts in (2, 3) if (found := first_finding(seen(words, restarts=restarts)))] == [
        "Never",
        "WhenAnotherServes",
    ]


def test_words_without_an_end_are_told_as_far_as_they_go() -> None:
    found = first_finding(seen(NO_REPOSITORY.replace(MODEL, "x" * 5000), MIRROR))
    assert found is not None
    assert found.reason == "ModelNotFound"


def test_an_engine_that_serves_after_all_has_downloaded_its_model() -> None:
    assert first_finding(seen(NO_ANSWER, ready=True)) is None


def test_an_engine_whose_requests_fail_to_download_something_is_no_model_that_is_refused() -> None:
    words = "httpx2.HTTPStatusError: Client error '401 Unauthorized' for url 'https://pictures.example.com/cat.png'\n"
    found = first_finding(seen(words, restarts=3))
    assert found is not None
    assert found.reason == "CrashLoop"


def test_a_models_own_spec_says_which_hub_and_which_secret() -> None:
    """The store keeps no env of pods, so neither may this need it."""
    failed = {"name": "engine", "state": {"terminated": {"exitCode": 1, "message": BAD_TOKEN}}}
    world = World(engine=lambda _: starting() | {"containerStatuses": [failed]})
    world.spec["model"] = {"uri": f"hf://{MODEL}", "secretRef": {"name": "hub"}}
    world.spec["engine"]["env"] = [{"name": "HF_ENDPOINT", "value": HUB}]
    world.settle()
    assert world.condition("ModelAvailable") == ("False", "ModelAccessRefused", NOT_ACCEPTED)
    assert world.condition("Ready") == ("False", "ModelAccessRefused", NOT_ACCEPTED)


@pytest.mark.parametrize(
    ("uri", "env", "engine", "awaits"),
    [
        (f"hf://{MODEL}", [], {"running": {}}, f"the engine downloads {MODEL} from https://huggingface.co, or loads it"),
        (
            f"hf://{MODEL}",
            [{"name": "HF_ENDPOINT", "value": "https://robot:secret@hub.example.com"}],
            {"running": {}},
            f"the engine downloads {MODEL} from {HUB}, or loads it",
        ),
        (f"hf://{MODEL}", [], {"waiting": {"reason": "ContainerCreating"}}, ""),
        ("pvc://models/smollm2", [], {"running": {}}, ""),
    ],
)
def test_what_an_engine_that_starts_is_about_is_said(uri: str, env: list[Any], engine: dict[str, Any], awaits: str) -> None:
    world = World(engine=lambda _: starting() | {"containerStatuses": [{"name": "engine", "state": engine}]})
    world.spec["model"] = {"uri": uri}
    world.spec["engine"]["env"] = env
    world.settle()
    assert world.condition("ModelAvailable") == ("Unknown", "NotReadYet", awaits or "nobody has read the model's files yet")
    _, reason, message = world.condition("Ready")
    assert (reason, message.partition(": ")[2]) == ("Starting", awaits)


def test_a_model_of_an_operator_that_did_not_ask_the_hub_keeps_its_pods_as_they_are() -> None:
    world = World()
    world.spec["model"] = {"uri": f"hf://{MODEL}"}
    world.settle()

    def child(kind: str) -> Any:
        return next(child for name, child in world.children.items() if name.kind == kind)

    def engine(statefulset: Any) -> Any:
        return statefulset["spec"]["template"]["spec"]["containers"][0]

    for statefulset in (child("ControllerRevision")["data"]["statefulset"], child("StatefulSet")):
        assert engine(statefulset)["command"] == ["python3", "/etc/allod/hub.py", "vllm", "serve"]
        engine(statefulset)["command"] = ["vllm", "serve"]
    del child("ConfigMap")["data"]["hub.py"]
    assert world.settle() == []
    assert engine(child("StatefulSet"))["command"] == ["vllm", "serve"]
    assert "hub.py" not in child("ConfigMap")["data"], "it is immutable, and its pods do not need more"
