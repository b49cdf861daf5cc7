"""What images/engine/hub.py does against servers of loopback: what it asks and with what, what is a refusal, and what is left to vLLM."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

import allod_asking
from allod_access import StrangeError
from allod_refusal import WORDS, RefusedError
from box import pki
from unit.engine.asked import (
    COMMIT,
    CONFIG,
    GIVES,
    HERE,
    LIST,
    REPOSITORY,
    THERE,
    WEIGHTS,
    Says,
    drops,
    free_port,
    hangs_up,
    lists,
    refuses,
    serving,
    silent,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

TOKEN = "hf_secret"  # noqa: S105  of a hub that is made here
FORWARD = {"Location": "{there}/cdn?Signature=abc"}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, no token and no cache of the machine's; and nothing is waited for."""
    for name in [name for name in os.environ if name.startswith(("HF_", "SSL_")) or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(allod_asking, "TIMEOUT", 0.3)


def at(monkeypatch: pytest.MonkeyPatch, port: int, **environment: str) -> allod_asking.Hub:
    """The hub that an engine has at that port."""
    for name, value in {"HF_ENDPOINT": f"http://{HERE}:{port}", **environment}.items():
        monkeypatch.setenv(name, value)
    return allod_asking.Hub(REPOSITORY, COMMIT)


def refusal(made: allod_asking.Hub) -> RefusedError:
    with pytest.raises(RefusedError) as raised:
        made.look()
    return raised.value


NOT_GIVEN = {
    "a token is wanted": ({LIST: refuses(401)}, (401, "", False), "answers 401 Unauthorized for org/name"),
    "the token is repeated": (
        {LIST: refuses(401, says=f"what is {TOKEN}?")},
        (401, "", False),
        "answers 401 Unauthorized for org/name (what is ...?)",
    ),
    "the token is repeated where it would be cut": (
        {LIST: refuses(401, code=TOKEN, says=f"{'x' * (WORDS - 4)}{TOKEN}")},
        (401, "...", False),
        f"answers 401 Unauthorized for org/name ({'x' * (WORDS - 4)}...)",
    ),
    "it speaks Chinese": (
        {LIST: refuses(403, "GatedRepo", "该模型受限".encode().decode("latin-1"))},
        (403, "GatedRepo", False),
        "answers 403 Forbidden for org/name (该模型受限)",
    ),
    "it speaks Latin-1": (
        {LIST: refuses(403, says="gesperrt für Sie")},
        (403, "", False),
        "answers 403 Forbidden for org/name (gesperrt für Sie)",
    ),
    "no such repository": ({LIST: refuses(404, "RepoNotFound")}, (404, "RepoNotFound", False), "answers 404 Not Found for org/name"),
    "no such revision": ({LIST: refuses(404, "RevisionNotFound")}, (404, "RevisionNotFound", False), "answers 404 Not Found for org/name"),
    "the hub is busy": ({LIST: refuses(429)}, (429, "", False), "answers 429 Too Many Requests for org/name"),
    "the hub is ill": ({LIST: refuses(503)}, (503, "", False), "answers 503 Service Unavailable for org/name"),
    "its files are gated": (
        {CONFIG: refuses(403, "GatedRepo", "restricted")},
        (403, "GatedRepo", False),
        "answers 403 Forbidden for config.json (restricted)",
    ),
    "the token may not read": ({LIST: refuses(403, says="enable it")}, (403, "", False), "answers 403 Forbidden for org/name (enable it)"),
    "weights are refused": ({WEIGHTS: refuses(403)}, (403, "", False), "answers 403 Forbidden for model.safetensors"),
    "a hub that lists nothing and gives no file": (
        {LIST: refuses(404), CONFIG: refuses(401)},
        (401, "", False),
        "answers 401 Unauthorized for config.json",
    ),
}


@pytest.mark.parametrize("case", NOT_GIVEN)
def test_what_the_hub_does_not_give_is_known_by_status_and_code(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table, (status, code, elsewhere), says = NOT_GIVEN[case]
    with serving(GIVES | table) as server:
        seen = refusal(at(monkeypatch, server.port, HF_TOKEN=TOKEN))
    assert (seen.cause, seen.status, seen.code, seen.elsewhere) == ("Status", status, code, elsewhere)
    assert seen.sentence == f"{HERE}:{server.port} {says}"


def test_weights_are_asked_where_the_hub_sends_to_and_the_token_stays_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(GIVES | {WEIGHTS: Says(302, FORWARD)}) as server, serving_there(server.port, {"/cdn": Says(206, body="x")}) as cdn:
        at(monkeypatch, server.port, HF_TOKEN=TOKEN).look()
    assert server.paths == [LIST, CONFIG, WEIGHTS]
    assert set(server.header("Authorization")) == {f"Bearer {TOKEN}"}
    assert server.header("Range") == [None, "bytes=0-0", "bytes=0-0"], "no file is downloaded here"
    assert (cdn.paths, cdn.header("Authorization"), cdn.header("Range")) == (["/cdn?Signature=abc"], [None], ["bytes=0-0"])


def test_a_refusal_elsewhere_names_that_server_and_no_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(GIVES | {WEIGHTS: Says(302, FORWARD)}) as server, serving_there(server.port, {"/cdn": refuses(403)}):
        seen = refusal(at(monkeypatch, server.port))
    assert (seen.status, seen.elsewhere) == (403, True)
    assert seen.message == f"{THERE}:{server.port} answers 403 Forbidden for model.safetensors"


def serving_there(port: int, table: dict[str, Says]) -> AbstractContextManager[Any]:
    """Another server than the hub: another address, the same port."""
    return serving(table, THERE, port=port)


def test_a_repository_that_moved_within_the_hub_is_asked_with_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(GIVES | {LIST: Says(307, {"Location": "/api/new"}), "/api/new": GIVES[LIST]}) as server:
        at(monkeypatch, server.port, HF_TOKEN=TOKEN).look()
    assert server.header("Authorization") == [f"Bearer {TOKEN}"] * 4


GIVEN = {
    "a server that sends the whole file": ({CONFIG: Says(200, body="{}")}, [LIST, CONFIG, WEIGHTS]),
    "an empty file": ({CONFIG: Says(416)}, [LIST, CONFIG, WEIGHTS]),
    "a mirror that lists nothing": ({LIST: Says(404)}, [LIST, CONFIG]),
    "a mirror that lists in another way": ({LIST: Says(200, body="<html>")}, [LIST, CONFIG]),
    "a repository without config.json": ({LIST: lists("params.json", "model.safetensors")}, [LIST, WEIGHTS]),
    "a repository without weights": ({LIST: lists("config.json")}, [LIST, CONFIG]),
    "weights of several kinds": ({LIST: lists("a.gguf", "old/b.safetensors", "c.bin", "model.safetensors")}, [LIST, WEIGHTS]),
}


@pytest.mark.parametrize("case", GIVEN)
def test_a_hub_that_gives_is_asked_for_no_more(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table, paths = GIVEN[case]
    with serving(GIVES | table) as server:
        at(monkeypatch, server.port).look()
    assert server.paths == paths


STRANGE = {
    "404 of a server that is no hub": {LIST: Says(404), CONFIG: Says(404)},
    "a file that is listed and not there": {WEIGHTS: refuses(404, "EntryNotFound")},
    "a status of its own": {WEIGHTS: Says(418)},
    "another server's word that it wants a token": {WEIGHTS: Says(302, FORWARD)},
    "a circle": {WEIGHTS: Says(302, {"Location": WEIGHTS})},
    "a way that is none of ours": {WEIGHTS: Says(302, {"Location": "ftp://elsewhere/x"})},
}


@pytest.mark.parametrize("case", STRANGE)
def test_an_answer_that_is_not_understood_is_no_refusal(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(GIVES | STRANGE[case]) as server, serving_there(server.port, {"/cdn": refuses(401)}):
        made = at(monkeypatch, server.port)
        with pytest.raises(StrangeError):
            made.look()


def closed() -> AbstractContextManager[int]:
    return nullcontext(free_port())


UNREACHED: dict[str, tuple[Callable[[], AbstractContextManager[int]], str, str, str]] = {
    "nothing listens": (closed, "http", "Closed", "nothing listens at {at}"),
    "packets vanish": (drops, "http", "Dropped", "no connection to {at} within 0.3 s"),
    "no answer": (silent, "http", "Silent", "{at} takes the connection and does not answer within 0.3 s"),
    "no answer to TLS": (silent, "https", "Silent", "{at} takes the connection and does not answer within 0.3 s"),
    "it hangs up": (hangs_up, "http", "Broken", "the connection to {at} fails ("),
}


@pytest.mark.parametrize("case", UNREACHED)
def test_a_hub_that_does_not_answer_is_known_by_how_far_one_gets(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, scheme, cause, says = UNREACHED[case]
    with made() as port:
        seen = refusal(at(monkeypatch, port, HF_ENDPOINT=f"{scheme}://{HERE}:{port}"))
    assert (seen.cause, seen.status) == (cause, None)
    assert seen.message.startswith(says.format(at=f"{HERE}:{port}"))


@pytest.mark.parametrize("variable", ["HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"])
def test_a_mirror_that_is_slow_gets_the_time_that_huggingface_hub_gives_it(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with silent() as port:
        assert refusal(at(monkeypatch, port, **{variable: "0.5"})).message.endswith("does not answer within 0.5 s")


def test_a_name_without_an_address_is_named_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = refusal(at(monkeypatch, 0, HF_ENDPOINT="https://hub.invalid"))
    assert seen.cause == "Name"
    assert seen.message.startswith("the name hub.invalid has no address (")


def test_a_certificate_counts_by_the_authority_that_the_environment_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pki.authority(tmp_path, "/CN=company-ca")
    pki.leaf(tmp_path, "hub", "/CN=hub", f"IP:{HERE}")
    with serving(GIVES, tls=tmp_path) as server:
        endpoint = f"https://{HERE}:{server.port}"
        seen = refusal(at(monkeypatch, 0, HF_ENDPOINT=endpoint))
        assert (seen.cause, seen.passes) == ("Certificate", False)
        assert seen.message.startswith(f"the certificate of {HERE}:{server.port} is not trusted (")
        at(monkeypatch, 0, HF_ENDPOINT=endpoint, SSL_CERT_FILE=str(tmp_path / "ca.crt")).look()
    with serving(GIVES) as plain:
        seen = refusal(at(monkeypatch, 0, HF_ENDPOINT=f"https://{HERE}:{plain.port}"))
        assert seen.cause == "Broken", "who speaks no TLS has no certificate that could be wrong"


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_is_asked_where_huggingface_hub_would(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    far = "http://hub.invalid"
    with serving({f"{far}{path}": says for path, says in GIVES.items()}) as proxy:
        at(monkeypatch, 0, HF_ENDPOINT=far, **{variable: f"http://robot:pass@{HERE}:{proxy.port}"}).look()
        assert proxy.paths == [f"{far}{path}" for path in (LIST, CONFIG, WEIGHTS)]
        seen = refusal(at(monkeypatch, 0, HF_ENDPOINT=far, NO_PROXY="hub.invalid"))
        assert seen.cause == "Name", "NO_PROXY holds"


def test_a_proxy_that_refuses_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving({}) as proxy:
        seen = refusal(at(monkeypatch, 0, HF_ENDPOINT="https://hub.invalid", HTTPS_PROXY=f"http://robot:pass@{HERE}:{proxy.port}"))
    assert seen.cause == "Broken"
    assert seen.message.startswith(f"the connection to hub.invalid through the proxy {HERE}:{proxy.port} fails (Tunnel connection failed: ")


def test_a_proxy_of_another_kind_is_left_to_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StrangeError, match="socks5"):
        at(monkeypatch, 1, ALL_PROXY="socks5://proxy.invalid:1080")


CREDENTIALS = {
    "a token": ({"HF_TOKEN": TOKEN}, f"Bearer {TOKEN}"),
    "a token under its old name": ({"HUGGING_FACE_HUB_TOKEN": f"{TOKEN}\n"}, f"Bearer {TOKEN}"),
    "a token that was wrapped when it was pasted": ({"HF_TOKEN": " hf_se\r\ncret\n"}, f"Bearer {TOKEN}"),
    "a token of line breaks, and a file": ({"HF_TOKEN": "\n", "HF_TOKEN_PATH": "{folder}/token"}, "Bearer of-the-file"),
    "a token in a file": ({"HF_TOKEN_PATH": "{folder}/token"}, "Bearer of-the-file"),
    "a name and a password in the address": ({"HF_TOKEN": TOKEN, "HF_ENDPOINT": "http://robot:p%40ss@{host}"}, "Basic cm9ib3Q6cEBzcw=="),
    "nothing": ({}, None),
}


@pytest.mark.parametrize("case", CREDENTIALS)
def test_who_asks_is_said_as_huggingface_hub_does(case: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment, header = CREDENTIALS[case]
    (tmp_path / "token").write_text("of-the-file\n")
    with serving(GIVES) as server:
        written = {name: value.format(folder=tmp_path, host=f"{HERE}:{server.port}") for name, value in environment.items()}
        made = at(monkeypatch, server.port, **written)
        made.look()
    assert set(server.header("Authorization")) == {header}
    assert made.address == f"http://{HERE}:{server.port}"
