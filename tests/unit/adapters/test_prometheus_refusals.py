"""What stands between the operator and a Prometheus in a company: logins, proxies, certificates, tokens; each is one sentence."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import defaultdict
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from allod.adapters import prometheus as prometheus_
from allod.adapters.errors import Refused, Unanswered, Unavailable
from allod.adapters.prometheus import Access, Prometheus
from box import pki

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from allod.api.slo import Metric

TTFT: tuple[Metric, ...] = ("TTFTSeconds",)
EMPTY = '{"status": "success", "data": {"resultType": "vector", "result": []}}'


class Door:
    """Answers as a test says, and remembers what was asked."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 200, EMPTY, {"Content-Type": "application/json"}
        self.delay = 0.0
        self.asked: list[dict[str, str]] = []
        self.tokens: list[str] = []
        self.by_path: defaultdict[str, int] = defaultdict(int)
        self.port = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.by_path[request.path] += 1
        self.asked.append({name: str(value) for name, value in (await request.post()).items()})
        self.tokens.append(request.headers.get("Authorization", ""))
        await asyncio.sleep(self.delay)
        return web.Response(status=self.status, text=self.body, headers=self.headers)

    async def open(self, context: ssl.SSLContext | None = None) -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        self.port = runner.addresses[0][1]
        return runner


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    made = Door()
    runner = await made.open()
    yield made
    await runner.cleanup()


@pytest.fixture
async def tls(tmp_path: Path) -> AsyncIterator[Door]:
    """With a certificate of the company's own authority, `ca.crt`."""
    pki.authority(tmp_path, "/CN=company-ca")
    pki.leaf(tmp_path, "prometheus", "/CN=prometheus", "DNS:localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "prometheus.crt", tmp_path / "prometheus.key")
    made = Door()
    runner = await made.open(context)
    yield made
    await runner.cleanup()


async def refusal(access: Access, kind: type[Unavailable] = Unavailable) -> str:
    """The sentence, without the address in it."""
    prometheus = Prometheus(access)
    try:
        with pytest.raises(kind) as refused:
            await prometheus.counted({("ai", "chat")}, ())
    finally:
        await prometheus.close()
    assert type(refused.value) is kind
    return str(refused.value).replace(access.url, "URL")


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (
            401,
            "Unauthorized",
            "Prometheus at URL does not let us in (401 Unauthorized): does it take the token of the chart's prometheus.token",
        ),
        (403, '{"status": "error"}', "Prometheus at URL does not let us in (403 Forbidden): "),
        (302, "", "Prometheus at URL sends us elsewhere (302 Found): prometheus.url has to be its own address, not one behind a login"),
        (
            404,
            "page not found",
            "what answers at URL is no Prometheus (404 Not Found): prometheus.url is the part in front of /api/v1/query",
        ),
        (200, "<html>Welcome</html>", "what answers at URL is no Prometheus (200 OK): prometheus.url is the part"),
        (200, "[" * 200_000, "what answers at URL is no Prometheus (200 OK): "),
        (200, '["success"]', "what answers at URL is no Prometheus (200 OK): "),
        (200, '{"status": "success", "data": {"result": [{"metric": []}]}}', "what answers at URL is no Prometheus (200 OK): "),
        (
            503,
            '{"status": "error", "errorType": "timeout", "error": "query timed out in expression evaluation"}',
            "Prometheus at URL cannot tell (503 Service Unavailable): timeout: query timed out in expression evaluation",
        ),
        (502, "<html>Bad Gateway</html>", "Prometheus at URL gives no figures: it answers 502 Bad Gateway"),
        (599, "", "Prometheus at URL gives no figures: it answers 599"),
    ],
)
async def test_each_refusal_is_one_sentence(door: Door, status: int, body: str, sentence: str) -> None:
    door.status, door.body, door.headers = status, body, {"Location": "/login?ticket=secret"}
    said = await refusal(Access(f"http://127.0.0.1:{door.port}"), Refused)
    assert said.startswith(sentence)
    assert "secret" not in said
    assert door.by_path == {"/api/v1/query": 1}, "no redirection is followed"


async def test_a_long_message_is_cut(door: Door) -> None:
    door.status, door.body = 422, '{"status": "error", "errorType": "execution", "error": "%s"}' % ("x" * 5000)
    assert len(await refusal(Access(f"http://127.0.0.1:{door.port}"), Refused)) < 300


async def test_an_answer_that_does_not_end_is_given_up(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus_, "LARGEST", 1000)
    door.body = " " * 2000
    said = await refusal(Access(f"http://127.0.0.1:{door.port}"), Refused)
    assert said == "Prometheus at URL does not stop answering: more than 1000 bytes came"


async def test_an_answer_that_does_not_come_is_given_up(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus_, "TIMEOUT", aiohttp.ClientTimeout(total=0.1))
    door.delay = 1
    said = await refusal(Access(f"http://127.0.0.1:{door.port}"), Unanswered)
    assert said == "Prometheus at URL does not answer: nothing came within 0.1 s"


async def test_a_closed_port_and_a_name_that_nobody_knows_are_told(door: Door) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    assert await refusal(Access(f"http://127.0.0.1:{free}")) == "Prometheus at URL does not answer: Connection refused"
    assert await refusal(Access("http://prometheus.invalid:9090")) == "Prometheus at URL does not answer: its name is not known"
    assert door.asked == []


async def test_the_token_is_read_anew_for_each_question_and_is_in_no_sentence(tls: Door, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    prometheus = Prometheus(Access(f"https://localhost:{tls.port}", str(tmp_path / "ca.crt"), str(token)))
    assert await prometheus.counted({("ai", "chat")}, ()) == {}
    token.write_text("second")
    await prometheus.counted({("ai", "chat")}, ())
    assert tls.tokens == ["Bearer first", "Bearer second"]
    tls.status, tls.body = 401, "second is expired"
    with pytest.raises(Unavailable) as refused:
        await prometheus.counted({("ai", "chat")}, ())
    assert "second" not in str(refused.value)
    token.unlink()
    with pytest.raises(Unavailable, match=r"the token in .*/token cannot be read: No such file or directory$"):
        await prometheus.counted({("ai", "chat")}, ())
    token.write_bytes(b"\xff\xfe")
    with pytest.raises(Unavailable, match=r"the token in .*/token cannot be read: it is no ASCII text$"):
        await prometheus.counted({("ai", "chat")}, ())
    await prometheus.close()


@pytest.mark.parametrize("text", ["secret\nsecret\n", "secret\r\nsecret", "secret\0"])
async def test_a_token_that_no_header_can_carry_is_told_without_it(door: Door, tmp_path: Path, text: str) -> None:
    token = tmp_path / "token"
    token.write_bytes(text.encode())
    said = await refusal(Access(f"http://127.0.0.1:{door.port}", token_file=str(token)))
    assert said.endswith(f"the token in {token} cannot be sent: a line break or another control character is inside")
    assert "secret" not in said
    assert door.asked == []


async def test_a_certificate_of_an_authority_that_is_not_known_is_named_and_the_file_is_read_again(tls: Door, tmp_path: Path) -> None:
    file = tmp_path / "bundle.crt"
    prometheus = Prometheus(Access(f"https://localhost:{tls.port}", str(file)))
    with pytest.raises(Unavailable, match=r"the certificates in .*/bundle\.crt cannot be read: No such file or directory$"):
        await prometheus.counted({("ai", "chat")}, ())
    file.write_text("no certificate")
    with pytest.raises(Unavailable, match=r"the certificates in .*/bundle\.crt cannot be read: "):
        await prometheus.counted({("ai", "chat")}, ())
    (tmp_path / "other").mkdir()
    pki.authority(tmp_path / "other", "/CN=somebody")
    file.write_bytes((tmp_path / "other/ca.crt").read_bytes())
    with pytest.raises(Unavailable, match=r"its certificate is not trusted: unable to get local issuer certificate$"):
        await prometheus.counted({("ai", "chat")}, ())
    file.write_bytes((tmp_path / "ca.crt").read_bytes())
    assert await prometheus.counted({("ai", "chat")}, ()) == {}
    await prometheus.close()
    assert "its certificate is not trusted: " in await refusal(Access(f"https://localhost:{tls.port}"))


async def test_the_question_goes_as_a_form_below_the_path_of_the_address(door: Door) -> None:
    prometheus = Prometheus(Access(f"http://127.0.0.1:{door.port}/prometheus"))
    await prometheus.counted({("ai", "chat")}, TTFT)
    await prometheus.close()
    assert door.by_path == {"/prometheus/api/v1/query": 1}
    assert door.tokens == [""]
    (form,) = door.asked
    assert form.keys() == {"query", "timeout"}
    assert 'namespace=~"ai",allod_dev_model=~"chat"' in form["query"]
