"""The watchdog inside vLLM: it says whether the engine really works, and keeps the doors of its API server.

Stock vLLM loads it: `PYTHONPATH=<this folder> vllm serve ... --middleware watchdog.Watchdog`. It needs the standard library and
prometheus_client, which vLLM brings. Why it exists: vLLM's own /health stays 200 while a worker hangs (measured on 0.32).

- GET /allod/ready, /allod/live: 200 or 503 with {"ok", "fault", "inflight", "sinceProgress" (seconds), "steps"}. GET /allod/heartbeat:
  /allod/ready's document as a line, twice a second and at once when the verdict changes; after SIGTERM one last line.
- What a verdict rests on: `allod_verdict.py`. Until the engine's first step /allod/ready is 503. It fails at the threshold, so that
  traffic leaves; /allod/live fails two thresholds later, so that an engine that comes back keeps its model.
- Requests and streams: `allod_exchange.py`. After a 5xx to a client the engine is asked for one token at once.
- Only an allow-list of paths is served. After SIGTERM new work gets 503 with Retry-After while what is in flight ends.
- A fault of the watchdog itself stops no request: verdicts then rest on self-requests, and "fault" begins with "watchdog:".

Environment: ALLOD_HANG_SECONDS (30), ALLOD_MODEL (served name), ALLOD_TASK (Generate, Embed, Rerank), ALLOD_ALLOW (more paths, by comma).
Limits: steps are summed over data-parallel engines: one that hangs beside one that works is not seen. With --api-server-count above 1
or --disable-log-stats, the KV cache's use is not seen in every server: a prefill longer than the threshold can look like a hang.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import math
import os
import re
import signal
import threading
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import REGISTRY, Counter, Gauge

from allod_exchange import Exchange, Message, answer, refuse
from allod_verdict import BLINK, BUSY, Engine

if TYPE_CHECKING:
    from allod_exchange import App, Receive, Send

TICK: Final = 0.25
"""Seconds between looks, so a hang is known at most this much after its threshold; two are a heartbeat."""
STEPS: Final = "vllm:iteration_tokens_total_count"
PULSE: Final = (STEPS, "vllm:kv_cache_usage_perc", "vllm:num_requests_running", "vllm:num_requests_waiting")
"""Each is written when the engine reports a step. STEPS counts those with output: in a long chunked prefill only the KV usage moves."""
ASK: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "Generate": ("/v1/completions", {"prompt": "1", "max_tokens": 1, "temperature": 0}),
    "Embed": ("/v1/embeddings", {"input": "1"}),
    "Rerank": ("/v1/rerank", {"query": "1", "documents": ["1"]}),
}
"""The smallest request that makes the engine step, by task."""
OPEN: Final = frozenset({"/health", "/ping", "/version", "/metrics", "/load", "/tokenize", "/detokenize", "/v2/embed", "/v2/rerank"})
CLOSED: Final = frozenset({"/v1/load_lora_adapter", "/v1/unload_lora_adapter"})
"""Under /v1 all is open but these: they read a path of the client's choice from the server's disk."""
PLAIN: Final = re.compile(r"(/(?!\.\.?(/|\Z))[A-Za-z0-9._~:@!$&'()*+,=-]+)+/?")
"""Paths that every proxy and router reads alike. Starlette's routes also match a path that ends in a line feed."""
UNPROVEN: Final = "watchdog: its self-request is refused, so an idle hang is not seen; check ALLOD_MODEL and ALLOD_TASK"
# A child of vLLM's logger has vLLM's handler and format; the root logger has none.
LOG: Final = logging.getLogger("vllm.allod.watchdog")
HUNG = Gauge("allod_watchdog_hung", "1 while the engine makes no step although it should.", multiprocess_mode="livemax")
HANGS = Counter("allod_watchdog_hangs_total", "Hangs of the engine since the start of this server.")
INFLIGHT = Gauge("allod_watchdog_inflight", "Requests for the model, not yet answered in full.", multiprocess_mode="livesum")
ASKED = Counter("allod_watchdog_self_requests_total", "Self-requests: answered, refused, failed or lost.", ["result"])


def route_path(scope: Message) -> str:
    """The decoded path that the router will match, by Starlette's own rule for root_path."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and (path == root or path.startswith(root + "/")) else path


def is_open(path: str) -> bool:
    """Whether a client may use this route path."""
    return path in OPEN or (path.startswith("/v1/") and PLAIN.fullmatch(path) is not None and path.rstrip("/") not in CLOSED)


class Watchdog:
    """The ASGI class that `--middleware` names: one in each API server process, around all its routes. A wrong setting ends the start."""

    def __init__(self, app: App) -> None:
        env = os.environ
        seconds, task = env.get("ALLOD_HANG_SECONDS", "30"), env.get("ALLOD_TASK", "Generate")
        if not re.fullmatch(r"\d{1,5}(\.\d+)?", seconds) or float(seconds) < 1:
            raise ValueError(f"ALLOD_HANG_SECONDS is {seconds!r}: give seconds, 1 or more, such as 30.")
        if task not in ASK:
            raise ValueError(f"ALLOD_TASK is {task!r}: give one of {', '.join(ASK)}.")
        self.ask_path, body = ASK[task]
        self.ask_body = json.dumps(body | ({"model": env["ALLOD_MODEL"]} if env.get("ALLOD_MODEL") else {})).encode()
        self.allow = frozenset(path.strip() for path in env.get("ALLOD_ALLOW", "").split(",")) - {""}
        self.app, self.engine = app, Engine(float(seconds))
        self.inflight, self.told, self.asked_at = 0, ("", True), -math.inf
        self.steps: int | None = None
        self.note = ""  # the watchdog's own fault: shown, never judged
        self.inside: dict[str, Any] = {}  # what vLLM's handlers expect in a scope
        self.asking: asyncio.Task[None] | None = None
        self.watching: asyncio.Task[None] | None = None
        self.beat: asyncio.Future[Any]  # done when heartbeats are to say their line

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Own routes, closed paths, work for the model, and everything else. The first call is the server's start (lifespan)."""
        if self.watching is None:
            self.begin(scope)
        kind, method, path = scope["type"], scope.get("method", ""), route_path(scope) if "path" in scope else ""
        work = kind == "websocket" or (method == "POST" and path.startswith(("/v1/", "/v2/")))
        if kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
        elif method == "GET" and path in ("/allod/ready", "/allod/live"):
            self.look()
            ok = self.engine.live if path == "/allod/live" else not self.engine.fault
            await answer(send, 200 if ok else BUSY, self.document(ok=ok))
        elif method == "GET" and path == "/allod/heartbeat":
            await self.heartbeat(receive, send)
        elif not is_open(path) and path not in self.allow:
            await refuse(scope, send, 403, "This path is closed on this model server; the API for clients is under /v1.")
        elif work and self.engine.draining:
            extra = ((b"retry-after", b"1"), (b"connection", b"close"))  # kept, it would bring the client's next try to this pod
            await refuse(scope, send, BUSY, "This model server is stopping; please send the request again.", *extra)
        elif work and kind == "http":
            await self.exchange(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def exchange(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request for the model."""
        exchange = Exchange(self.engine, receive, send)
        self.inflight += 1
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except Exception:
            self.engine.doubts = max(self.engine.doubts, 1)  # the server makes a 500 of it
            raise
        finally:
            exchange.waiting(waits=False)
            self.inflight -= 1

    def document(self, *, ok: bool) -> bytes:
        """What probes and heartbeats say."""
        since = round(self.engine.watched - self.engine.progress_at, 2) if self.engine.proven else None
        says = {"ok": ok, "fault": self.engine.fault or self.note, "inflight": self.inflight, "sinceProgress": since, "steps": self.steps}
        return json.dumps(says).encode()

    async def heartbeat(self, receive: Receive, send: Send) -> None:
        """Lines until the client goes, or until the server stops: an open stream would hold up the end of the process."""
        await receive()
        gone, more = asyncio.ensure_future(receive()), True
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/x-ndjson")]})
            while more and not gone.done():
                beat, more = self.beat, not self.engine.draining
                await send({"type": "http.response.body", "body": self.document(ok=not self.engine.fault) + b"\n", "more_body": more})
                await asyncio.wait({gone, beat}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()

    def begin(self, scope: Message) -> None:
        """Starts to watch."""
        self.inside = {key: scope[key] for key in ("app", "state") if key in scope}
        loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)
        self.beat, self.watching = loop.create_future(), loop.create_task(self.watch())

        def stopping(number: int, frame: Any) -> None:
            self.engine.draining = True
            loop.call_soon_threadsafe(self.look)
            if callable(before):
                before(number, frame)

        # Only in front of a handler: vLLM's event loop keeps its own, and is told by the wake-up file descriptor too.
        if callable(before) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, stopping)
            signal.siginterrupt(signal.SIGTERM, False)  # noqa: FBT003 - as asyncio sets it; the signature is the library's

    async def watch(self) -> None:
        """Looks for as long as the server lives; every second look is a beat."""
        for look in itertools.count():
            self.look(beat=look % 2 == 1)
            await asyncio.sleep(TICK)

    def look(self, *, beat: bool = False) -> None:
        """One look and what follows. Never raises: whatever is wrong here, the engine's requests are not to suffer from it."""
        engine, note, hung, told = self.engine, UNPROVEN if self.engine.assumed else "", self.engine.hung_at, self.told
        try:
            counters = self.counters()
        except Exception as error:  # noqa: BLE001 - see above; self-requests remain as evidence
            counters, note = engine.seen, f"watchdog: the engine's counters cannot be read: {error!r}"
        try:
            engine.look(asyncio.get_running_loop().time(), counters)
            self.ask_if_silent()
            INFLIGHT.set(self.inflight)
            HUNG.set(engine.hung_at is not None)
            HANGS.inc(hung is None and engine.hung_at is not None)
        except Exception as error:  # noqa: BLE001 - see above; the verdict stays as it was
            note = f"watchdog: {error!r}"
        self.note, self.told = note, (engine.fault or note, engine.live)
        if self.told != told:
            LOG.warning("%s; %s", self.told[0] or "ready", "live" if engine.live else "not live: restart")
        if self.told != told or beat:
            self.beat.set_result(None)
            self.beat = asyncio.get_running_loop().create_future()

    def counters(self) -> object:
        """What changes when the engine steps; pieces of streams where it keeps no counters (--disable-log-stats)."""
        metrics = REGISTRY.restricted_registry(PULSE).collect()
        values = sorted((sample.name, str(sample.labels), sample.value) for metric in metrics for sample in metric.samples)
        steps = [value for name, _, value in values if name == STEPS]
        self.steps = int(sum(steps)) if steps else None
        return values if steps else self.engine.events

    def ask_if_silent(self) -> None:
        """A self-request at the start, in doubt, and after silence: half of the threshold while something waits; one at a time."""
        engine, busy = self.engine, self.asking is not None and not self.asking.done()
        silent = engine.watched - max(engine.progress_at, self.asked_at)
        patience = TICK if engine.doubts and not engine.trouble else engine.threshold / (2 if engine.waiting else 1)
        if not engine.draining and not busy and silent >= patience:
            self.asked_at = engine.watched
            self.asking = asyncio.create_task(self.ask())

    async def ask(self) -> None:
        """One self-request and what its end says. It is given up once it has shown a hang, unless it is the engine's first."""
        engine, status = self.engine, 0
        engine.wait(1)
        try:
            async with asyncio.timeout(engine.threshold + BLINK if engine.proven or engine.assumed else None):
                status, _ = await self.request(self.ask_path, self.ask_body)
        except Exception as error:  # noqa: BLE001 - vLLM may raise anything while it dies
            LOG.warning("a self-request got no answer: %r", error)
            status = 0 if isinstance(error, TimeoutError) else 500
        finally:
            engine.wait(-1)
        ASKED.labels(engine.answered(status)).inc()
        self.look()

    async def request(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to a POST, through the application's own routes: past the doors that are closed to clients."""
        args = getattr(getattr(self.inside.get("app"), "state", None), "args", None)
        keys = getattr(args, "api_key", None) or [os.environ.get("VLLM_API_KEY", "")]
        headers = [(b"content-type", b"application/json"), (b"authorization", b"Bearer " + str(keys[0]).encode()), (b"host", b"localhost")]
        scope: dict[str, Any] = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "method": "POST"}
        scope |= {"path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "headers": headers}
        scope |= {"client": ("127.0.0.1", 0), "server": ("127.0.0.1", 0), **self.inside}
        asked, answered = asyncio.Queue[Message](), asyncio.Queue[Message]()
        asked.put_nowait({"type": "http.request", "body": body, "more_body": False})
        await self.app(scope, asked.get, answered.put)
        start, *pieces = (answered.get_nowait() for _ in range(answered.qsize()))
        return int(start["status"]), b"".join(piece.get("body", b"") for piece in pieces)
