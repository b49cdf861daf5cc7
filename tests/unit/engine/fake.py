"""vLLM as its middleware sees it, small enough to be stopped, slowed and broken at will. Real vLLM is in tests/vllm."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import REGISTRY, Gauge, Histogram

from allod_exchange import Message, Receive, Send
from watchdog import Watchdog

DISCONNECT: Message = {"type": "http.disconnect"}
Handler = Callable[["Engine", Message, Receive, Send], Awaitable[None]]


class Engine:
    """The engine's counters and the application in front of it. `running` cleared = the worker hangs."""

    def __init__(self, *, counters: bool = True) -> None:
        self.running = asyncio.Event()
        self.running.set()
        self.step_seconds = 0.001
        self.self_status = 200
        self.paths: list[str] = []
        self.headers: list[dict[bytes, bytes]] = []
        self.handlers: dict[str, Handler] = {}
        self.collectors: list[Histogram | Gauge] = []
        if counters:
            self.tokens = Histogram("vllm:iteration_tokens_total", "Tokens of a step.", ["engine"])
            self.usage = Gauge("vllm:kv_cache_usage_perc", "KV in use.", ["engine"])
            self.tokens.labels("0")
            self.usage.labels("0").set(0)
            self.collectors = [self.tokens, self.usage]

    async def step(self) -> None:
        """One token; waits while the worker hangs."""
        await asyncio.sleep(self.step_seconds)
        await self.running.wait()
        if self.collectors:
            self.tokens.labels("0").observe(1)

    async def prefill(self) -> None:
        """One chunk of a long prompt: no token, so only the KV cache's use moves."""
        await asyncio.sleep(self.step_seconds)
        await self.running.wait()
        self.usage.labels("0").inc(0.01)

    async def app(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await life(receive, send)
            return
        self.paths.append(scope["path"])
        self.headers.append(dict(scope.get("headers", ())))
        handler = self.handlers.get(scope["path"], Engine.complete)
        await handler(self, scope, receive, send)

    async def complete(self, scope: Message, receive: Receive, send: Send) -> None:
        """A completion: one token and a whole answer; a GET needs no engine."""
        await whole_body(receive)
        if scope.get("method") == "POST":
            await self.step()
        await send({"type": "http.response.start", "status": self.self_status, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b"{}"})


async def life(receive: Receive, send: Send) -> None:
    for phase in ("startup", "shutdown"):
        assert (await receive())["type"] == f"lifespan.{phase}"
        await send({"type": f"lifespan.{phase}.complete"})


async def whole_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


@dataclass(slots=True)
class Answer:
    """What a client got, with the time of each message."""

    messages: list[Message] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    @property
    def pieces(self) -> list[bytes]:
        return [message["body"] for message in self.messages[1:]]

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Speaks ASGI to a watchdog, as uvicorn would."""

    def __init__(self, engine: Engine, made: type[Watchdog] = Watchdog) -> None:
        self.engine = engine
        self.watchdog = made(engine.app)

    async def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        sends: list[Message] | None = None,
        gone: asyncio.Event | None = None,
        slow: float = 0,
        root_path: str = "",
        kind: str = "http",
        into: Answer | None = None,
    ) -> Answer:
        """One request. `sends`: what receive gives; `gone`: when the client goes away; `slow`: seconds to read one piece."""
        given = list(sends if sends is not None else [{"type": "http.request", "body": b"", "more_body": False}])
        answer = into if into is not None else Answer()

        async def receive() -> Message:
            if given:
                message = given.pop(0)
                await asyncio.sleep(message.get("after", 0))
                return message
            await (gone or asyncio.Event()).wait()
            return DISCONNECT

        async def send(message: Message) -> None:
            await asyncio.sleep(slow)
            answer.messages.append(message)
            answer.times.append(asyncio.get_running_loop().time())

        scope = {"type": kind, "path": path, "root_path": root_path, "headers": []} | ({"method": method} if kind == "http" else {})
        await self.watchdog(scope, receive, send)
        return answer

    async def ready(self) -> Answer:
        return await self.ask("/allod/ready")

    async def fault(self) -> str:
        return str((await self.ready()).json["fault"])

    async def until(self, path: str, status: int) -> float:
        """The time at which the answer came; asks again whenever the watchdog says something to its heartbeats."""
        beat = self.watchdog.beat
        while (await self.ask(path)).status != status:
            await asyncio.shield(beat)
            beat = self.watchdog.beat
        return asyncio.get_running_loop().time()

    async def until_ready(self) -> float:
        return await self.until("/allod/ready", 200)

    async def until_not_ready(self) -> float:
        return await self.until("/allod/ready", 503)


@contextlib.asynccontextmanager
async def serving(engine: Engine, made: type[Watchdog] = Watchdog) -> AsyncIterator[Client]:
    """A started server; at the end its lifespan ends and its counters leave the registry."""
    client = Client(engine, made)
    told: asyncio.Queue[Message] = asyncio.Queue()
    said: asyncio.Queue[Message] = asyncio.Queue()
    life = asyncio.create_task(client.watchdog({"type": "lifespan", "app": engine.app, "state": {}}, told.get, said.put))
    try:
        await told.put({"type": "lifespan.startup"})
        assert (await said.get())["type"] == "lifespan.startup.complete"
        yield client
        await told.put({"type": "lifespan.shutdown"})
        await life
    finally:
        for collector in engine.collectors:
            REGISTRY.unregister(collector)
        for task in (client.watchdog.watching, client.watchdog.asking, getattr(client.watchdog, "keeping", None), life):
            if task is not None:
                task.cancel()


RESULTS = ("answered", "refused", "failed", "lost")


class Metric:
    """A sample of the watchdog's own metrics, less what it was when the test began: the registry is the process's."""

    def __init__(self) -> None:
        self.before = {
            name: self.now(*name)
            for name in (("hangs_total",), ("broken_streams_total",), *(("self_requests_total", result) for result in RESULTS))
        }

    def now(self, name: str, result: str = "") -> float:
        return REGISTRY.get_sample_value(f"allod_watchdog_{name}", {"result": result} if result else {}) or 0.0

    def __call__(self, name: str, result: str = "") -> float:
        key = (name, result) if result else (name,)
        return self.now(name, result) - self.before.get(key, 0.0)
