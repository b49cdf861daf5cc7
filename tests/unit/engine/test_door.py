"""A security border: what is not named is closed, and every spelling of a closed path is closed too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from unit.engine.fake import Client, Engine, serving

if TYPE_CHECKING:
    from allod_exchange import Message

POST = "POST"
OPEN = (
    "/v1/models",
    "/v1/models/",
    "/v1/chat/completions",
    "/v1/chat/completions/render",
    "/v1/responses/resp_0a/cancel",
    "/v2/rerank",
    "/health",
    "/ping",
    "/version",
    "/metrics",
    "/load",
    "/tokenize",
    "/detokenize",
)
CLOSED = (
    "",
    "/",
    "/v1",
    "/invocations",
    "/generative_scoring",
    "/scale_elastic_ep",
    "/is_scaling_elastic_ep",
    "/docs",
    "/openapi.json",
    "/sleep",
    "/wake_up",
    "/collective_rpc",
    "/adapters",
    "/adapters/mine",
    "/inference/v1/generate",
    "/v1/load_lora_adapter",
    "/v1/unload_lora_adapter",
    "/fault_tolerance/apply",
    "/allod/secrets",
    "/metricsx",
    "/health/",
)
TRICKS = {
    "a doubled slash": "//invocations",
    "a doubled slash under v1": "/v1//load_lora_adapter",
    "a slash at the end": "/v1/load_lora_adapter/",
    "two slashes at the end": "/v1/load_lora_adapter//",
    "a line feed, which Starlette's routes ignore at the end": "/v1/load_lora_adapter\n",
    "a line feed after an open path": "/health\n",
    "a carriage return": "/v1/load_lora_adapter\r",
    "a null byte": "/v1/load_lora_adapter\x00",
    "dots up": "/v1/../invocations",
    "a dot": "/v1/./load_lora_adapter",
    "dots at the end": "/v1/..",
    "encoded twice": "/%69nvocations",
    "an encoded slash, encoded twice": "/v1%2fload_lora_adapter",
    "percent under v1": "/v1/%6coad_lora_adapter",
    "a backslash": "/v1\\..\\invocations",
    "a backslash under v1": "/v1/..\\invocations",
    "capitals": "/V1/models",
    "capitals of a closed path": "/Invocations",
    "a whole URL": "http://host/invocations",
    "parameters": "/v1/load_lora_adapter;x",
    "a query in the path": "/v1/load_lora_adapter?x",
    "another alphabet": "/v1/lоad_lora_adapter",  # noqa: RUF001 - the Cyrillic letter is the trick
    "no slash at the start": "v1/models",
}


@pytest.mark.parametrize("path", OPEN)
async def test_open_paths_reach_the_application(client: Client, path: str) -> None:
    assert (await client.ask(path)).status == 200
    assert client.engine.paths[-1] == path


@pytest.mark.parametrize("path", CLOSED)
async def test_closed_paths_never_reach_it(client: Client, path: str) -> None:
    for method in ("GET", POST, "HEAD", "OPTIONS", "DELETE"):
        answer = await client.ask(path, method=method)
        assert answer.status == 403
        assert answer.json["error"]["message"] == "This path is closed on this model server; the API for clients is under /v1."
    assert client.engine.paths == ["/v1/completions"]


@pytest.mark.parametrize("path", TRICKS.values(), ids=TRICKS.keys())
async def test_no_other_spelling_opens_a_path(client: Client, path: str) -> None:
    assert (await client.ask(path, method=POST)).status == 403
    assert client.engine.paths == ["/v1/completions"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/gate/v1/models", 200),
        ("/v1/models", 200),  # Starlette serves it without the prefix too
        ("/gate/invocations", 403),
        ("/invocations", 403),
        ("/gate/v1/load_lora_adapter", 403),
        ("/gate", 403),
        ("/gateway/v1/models", 403),
        ("/gate/gate/v1/models", 403),
    ],
)
async def test_a_root_path_moves_the_border_as_it_moves_the_routes(client: Client, path: str, status: int) -> None:
    assert (await client.ask(path, root_path="/gate")).status == status


async def test_a_root_path_that_ends_in_an_open_prefix_opens_nothing(client: Client) -> None:
    assert (await client.ask("/v1/invocations", root_path="/v1")).status == 403


async def test_paths_that_the_operator_allows_are_open_and_only_they(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOD_ALLOW", "/v1/load_lora_adapter, /docs")
    async with serving(Engine()) as client:
        assert (await client.ask("/v1/load_lora_adapter", method=POST)).status == 200
        assert (await client.ask("/docs")).status == 200
        assert (await client.ask("/v1/unload_lora_adapter", method=POST)).status == 403
        assert (await client.ask("", method=POST)).status == 403


@pytest.mark.parametrize(("path", "opened"), [("/v1/realtime", True), ("/invocations", False), ("/v1/../realtime", False)])
async def test_web_sockets_meet_the_same_border(client: Client, path: str, opened: bool) -> None:  # noqa: FBT001 - a table's column
    reached: list[str] = []

    async def accept(_engine: Engine, scope: Message, _receive: object, send: object) -> None:
        reached.append(scope["path"])
        assert callable(send)
        await send({"type": "websocket.accept"})

    client.engine.handlers[path] = accept
    answer = await client.ask(path, kind="websocket", sends=[{"type": "websocket.connect"}])
    assert [message["type"] for message in answer.messages] == ["websocket.accept" if opened else "websocket.close"]
    assert reached == ([path] if opened else [])
