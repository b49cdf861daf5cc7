"""What is seen of a hub that does not give a model, and what a person is told of it.

By images/engine/hub.py, which asks before vLLM does, or by what vLLM 0.32 printed last against a mirror that refuses
(tests/support/hub.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

import hub
from allod.contracts.hubrefusal import HubRefusal
from allod.domain.serving.engine.download import ASKS, LEAST, PATIENCE
from allod.domain.serving.health.findings import RevisionSeen, first_finding
from unit.domain.simulation import START, World, starting

Spec = dict[str, Any]
MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
COMMIT = "12fd25f77366fa6b3b4b768ec3050bf629380bac"
HUB = "https://hub.example.com"
TRACEBACK = """\
  File "/usr/local/lib/python3.13/dist-packages/transformers/utils/hub.py", line 370, in cached_file
    file = cached_files(path_or_repo_id=path_or_repo_id, filenames=[filename], **kwargs)
  File "/usr/local/lib/python3.13/dist-packages/transformers/utils/hub.py", line 630, in cached_files
"""
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
MIRROR: Spec = {"engine": {"env": [{"name": "SSL_CERT_FILE", "value": "/etc/ca.crt"}, {"name": "HF_ENDPOINT", "value": HUB}]}}
TOKEN: Spec = {"model": {"secretRef": {"name": "hub"}}}
UNAVAILABLE = (
    f"the engine cannot download from {HUB}: its name, port 443 (the only one that the model's NetworkPolicy opens), its certificate, "
    "or its answers; kubectl logs smol-5b21aa0c-0 -c engine --previous says which"
)
NOT_ACCEPTED = f"{HUB} does not accept the token in Secret hub: put a valid one into it"


@dataclass(frozen=True)
class Case:
    name: str
    words: str
    reason: str
    says: str
    spec: Spec = field(default_factory=lambda: MIRROR | TOKEN)

    def __str__(self) -> str:
        return self.name


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
        f"{HUB} wants a token: name a Secret with a token in model.secretRef",
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


def seen(words: str, spec: Spec | None = None, restarts: int = 0, *, ready: bool = False) -> RevisionSeen:
    """The revision whose only engine ended with these words after the end of a traceback."""
    ended = {"exitCode": 1, "reason": "Error", "message": f"{TRACEBACK}{words}"}
    engine = {"name": "engine", "restartCount": restarts, "ready": ready, "state": {"running": {}}, "lastState": {"terminated": ended}}
    pod = {"metadata": {"name": "smol-5b21aa0c-0"}, "spec": {"containers": []}, "status": {"containerStatuses": [engine]}}
    return RevisionSeen(START, wanted=1, pods=(pod,), spec=spec or {})


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


def document(cause: str = "Status", **fields: Any) -> str:
    """As hub.py writes it."""
    told = {"hub": HUB, "repository": MODEL, "revision": COMMIT, "token": True, "asked": "", "message": "it answers", "cause": cause}
    return HubRefusal.model_validate(told | fields).model_dump_json()


DROPPED = document("Dropped", message="no connection to hub.example.com:443 within 10 s")
CANNOT = f"the engine cannot download {MODEL} from {HUB}: "
DOCUMENTS = [
    Case("a token that is not accepted", document(status=401), "ModelAccessRefused", NOT_ACCEPTED),
    Case(
        "a token that somebody gave to the engine in another way",
        document(status=401),
        "ModelAccessRefused",
        f"{HUB} does not accept the token of the engine",
        {},
    ),
    Case(
        "a token that cannot be sent",
        document("Token", message="the token has a character that no HTTP header can carry"),
        "ModelAccessRefused",
        "the token has a character that no HTTP header can carry: put a valid one into Secret hub",
    ),
    Case(
        "no token where one is wanted",
        document(status=401, token=False),
        "ModelAccessRefused",
        f"{HUB} wants a token for {MODEL}, or has no such repository: name a Secret with a token in model.secretRef, or correct model.uri",
        {},
    ),
    Case(
        "an empty Secret",
        document(status=401, token=False),
        "ModelAccessRefused",
        f"{HUB} wants a token for {MODEL}, and that in Secret hub is empty: put a valid one into it",
    ),
    Case(
        "a gated repository",
        document(status=403, code="GatedRepo", says="restricted"),
        "ModelAccessRefused",
        f"{HUB} does not show {MODEL} to the owner of the token in Secret hub: ask for access there",
    ),
    Case(
        "a token without the right",
        document(status=403, says="enable access in your settings"),
        "ModelAccessRefused",
        f"{HUB} does not show {MODEL} to the owner of the token in Secret hub (enable access in your settings): ask for access there",
    ),
    Case(
        "403 without a word, as of a firewall",
        document(status=403, message="hub.example.com answers 403 Forbidden for config.json"),
        "HubUnavailable",
        f"{CANNOT}hub.example.com answers 403 Forbidden for config.json; the hub is busy or ill, or something between answers in its place",
    ),
    Case(
        "weights that another server refuses",
        document(status=403, elsewhere=True, says="AccessDenied", message="cdn.example.com answers 403 Forbidden for model.safetensors"),
        "HubUnavailable",
        f"{CANNOT}cdn.example.com answers 403 Forbidden for model.safetensors (AccessDenied); the hub is busy or ill, or something between answers in its "
        "place",
    ),
    Case(
        "the same of a program of an older revision, which says it twice",
        document(status=503, says="full", message="hub.example.com answers 503 Service Unavailable for org/name (full)"),
        "HubUnavailable",
        f"{CANNOT}hub.example.com answers 503 Service Unavailable for org/name (full); the hub is busy or ill, or something between answers "
        "in its place",
    ),
    Case(
        "no such repository",
        document(status=404, code="RepoNotFound"),
        "ModelNotFound",
        f"{HUB} has no repository {MODEL}, or does not show it to the owner of the token in Secret hub: correct model.uri, or ask for "
        "access there",
    ),
    Case(
        "no such revision",
        document(status=404, code="RevisionNotFound"),
        "ModelNotFound",
        f"{MODEL} has no revision {COMMIT} on {HUB}: correct model.revision",
    ),
    Case(
        "packets that vanish",
        DROPPED,
        "HubUnavailable",
        f"{CANNOT}no connection to hub.example.com:443 within 10 s; a NetworkPolicy or a firewall is between, and the model's own policy "
        "opens TCP 443 alone",
    ),
    Case(
        "a certificate of nobody's",
        document("Certificate", message="the certificate of hub.example.com:443 is not trusted (self-signed)"),
        "HubUnavailable",
        f"{CANNOT}the certificate of hub.example.com:443 is not trusted (self-signed); put its authority into the file that SSL_CERT_FILE "
        "in engine.env names",
    ),
]


@pytest.mark.parametrize("case", DOCUMENTS, ids=str)
def test_what_was_asked_before_vllm_says_exactly_why(case: Case) -> None:
    found = first_finding(refusing(case.words, case.spec))
    assert found is not None
    assert (found.reason, found.message) == (case.reason, case.says)


def refusing(words: str, spec: Spec | None = None, restarts: int = 0, seconds: int = 5) -> RevisionSeen:
    """The same engine, which has left a document, and asks anew since so many seconds."""
    made = seen("", spec, restarts)
    engine = made.pods[0]["status"]["containerStatuses"][0]
    engine["lastState"]["terminated"]["message"] = words
    engine["state"] = {"running": {"startedAt": (START - timedelta(seconds=seconds)).isoformat()}}
    return made


@pytest.mark.parametrize("restarts", [0, 5])
def test_a_hub_that_gives_after_all_is_no_longer_complained_of_while_the_model_is_downloaded(restarts: int) -> None:
    assert first_finding(refusing(DROPPED, restarts=restarts, seconds=59)) is not None
    assert first_finding(refusing(DROPPED, restarts=restarts, seconds=60)) is None


@pytest.mark.parametrize(
    ("env", "seconds"),
    [
        ({"HF_HUB_DOWNLOAD_TIMEOUT": "70"}, 180),
        ({"HF_HUB_ETAG_TIMEOUT": "70", "HF_HUB_DOWNLOAD_TIMEOUT": "15"}, 180),
        ({"HF_HUB_ETAG_TIMEOUT": "3"}, 60),
        ({"HF_HUB_ETAG_TIMEOUT": "a while"}, 60),
        ({"HF_HUB_ETAG_TIMEOUT": "nan"}, 60),
        ({"HF_HUB_ETAG_TIMEOUT": "inf"}, 40 + 2 * 86400),
    ],
)
def test_a_mirror_that_gets_more_time_is_complained_of_for_as_long_as_it_may_be_asked(env: dict[str, str], seconds: int) -> None:
    spec = {"engine": {"env": [{"name": name, "value": value} for name, value in env.items()]}}
    assert first_finding(refusing(DROPPED, spec, restarts=5, seconds=seconds - 1)) is not None
    assert first_finding(refusing(DROPPED, spec, restarts=5, seconds=seconds)) is None


def test_the_operator_waits_for_as_long_as_the_engine_asks() -> None:
    """hub.py begins no try after ENOUGH and its longest pause; one without an answer takes TIMEOUT for a name, and twice the patience."""
    assert hub.ENOUGH + max(hub.PAUSES) + hub.TIMEOUT <= ASKS.total_seconds() < hub.ENOUGH + max(hub.PAUSES) + 2 * hub.TIMEOUT
    assert (hub.PATIENCE, hub.TIMEOUT) == (PATIENCE, LEAST)


@pytest.mark.parametrize(("env", "minutes"), [([], 1), ([{"name": "HF_HUB_DOWNLOAD_TIMEOUT", "value": "70"}], 3)])
def test_nothing_tells_of_that_moment_so_the_operator_looks_again(env: list[Any], minutes: int) -> None:
    engine = {"name": "engine", "state": {"running": {"startedAt": START.isoformat()}}}
    world = World(engine=lambda _: starting() | {"containerStatuses": [engine | {"lastState": {"terminated": {"message": DROPPED}}}]})
    world.spec["model"] = {"uri": f"hf://{MODEL}"}
    world.spec["engine"]["env"] = env
    world.settle()
    world.wait(60 * minutes - 30)
    assert world.condition("ModelAvailable")[1] == "HubUnavailable"
    due = world.reconcile().requeue_after
    assert due is not None
    assert world.now + due == START + timedelta(minutes=minutes)
    world.wait(60)
    loads = f"the engine downloads {MODEL} from https://huggingface.co, or loads it"
    assert world.condition("ModelAvailable") == ("Unknown", "NotReadYet", loads)


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
