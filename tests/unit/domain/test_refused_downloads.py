"""What a person is told of what images/engine/hub.py saw when it asked, and for how long."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

import allod_asking
from allod.contracts.hubrefusal import HubRefusal
from allod.domain.serving.engine.download import ASKS, LEAST, PATIENCE
from allod.domain.serving.health.findings import RevisionSeen, first_finding
from allod_asking import TIMEOUT
from hub import ENOUGH, PAUSES
from unit.domain.hubs import COMMIT, HUB, MODEL, NOT_ACCEPTED, Case, Spec, seen
from unit.domain.simulation import START, World, starting


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
        f"{CANNOT}cdn.example.com answers 403 Forbidden for model.safetensors (AccessDenied); the hub is busy or ill, or something between "
        "answers in its place",
    ),
    Case(
        "the same of a program of an older revision, which says it twice",
        document(status=503, says="full", message="hub.example.com answers 503 Service Unavailable for org/name (full)"),
        "HubUnavailable",
        f"{CANNOT}hub.example.com answers 503 Service Unavailable for org/name (full); the hub is busy or ill, or something between "
        "answers in its place",
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
    assert ENOUGH + max(PAUSES) + TIMEOUT <= ASKS.total_seconds() < ENOUGH + max(PAUSES) + 2 * TIMEOUT
    assert (allod_asking.PATIENCE, TIMEOUT) == (PATIENCE, LEAST)


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
