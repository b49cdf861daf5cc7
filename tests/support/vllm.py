"""A real vLLM on loopback as a plain process, with our watchdog in it; its worker can be stopped, continued and killed."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allod.render.serving import configmap
from box.image import model, root, vllm
from box.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PROGRAMS = Path(__file__).parents[2] / "images/engine"
WATCHDOG = {(Path(configmap.__file__).parent / text).resolve(): name for name, text in configmap.WATCHDOG.items()}
"""Program of the repository -> its name in a pod."""
KEEPER = PROGRAMS / "allod_adapters.py"
START_SECONDS = 300
"""31-76 s measured on two loaded cores."""
PATIENCE = 60.0
"""Seconds for anything else: a hang of the test itself ends in a sentence."""
ENVIRONMENT = {
    "PYTHONPATH": "/etc/allod",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "ALLOD_MODEL": "smol",
}
SERVE = (
    "vllm",
    "serve",
    "/models",
    "--host",
    "127.0.0.1",
    "--served-model-name",
    "smol",
    "--enforce-eager",
    "--dtype",
    "float32",
    "--max-model-len",
    "2048",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Stream:
    """An answer that still comes."""

    response: http.client.HTTPResponse

    def event(self) -> str:
        """The next `data:`; empty at the end."""
        for line in iter(self.response.readline, b""):
            if line.startswith(b"data: "):
                return line.removeprefix(b"data: ").strip().decode()
        return ""

    def events(self) -> Iterator[str]:
        """What is still to come."""
        return iter(self.event, "")

    def lines(self) -> Iterator[Any]:
        """Of a heartbeat: each line as it comes, up to the end."""
        return (json.loads(line) for line in iter(self.response.readline, b""))


@dataclass(slots=True)
class Server:
    """vLLM's API server process and what can be done to its children."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    seen: set[int] = field(default_factory=set)

    def ask(self, path: str, body: object = None, *headers: str, timeout: float = PATIENCE) -> Answer:
        """GET, or POST when there is a body. The path goes on the wire as it is; `headers` are names whose presence matters."""
        with self.stream(path, body, *headers, timeout=timeout) as answer:
            response = answer.response
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())

    @contextlib.contextmanager
    def stream(self, path: str, body: object = None, *headers: str, timeout: float = PATIENCE) -> Iterator[Stream]:
        """An answer from its headers on; the connection closes at the end of the block."""
        data = None if body is None else json.dumps(body).encode()
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)) as connection:
            connection.putrequest("GET" if data is None else "POST", path)
            connection.putheader("content-type", "application/json")
            connection.putheader("content-length", str(len(data or b"")))
            for name in headers:
                connection.putheader(name, "1")
            connection.endheaders(data)
            with connection.getresponse() as response:
                yield Stream(response)

    def until(self, path: str, status: int, *, seconds: float = PATIENCE) -> Answer:
        """The first answer with this status. Raises TimeoutError with the last answer and the end of the log."""
        end, last = time.monotonic() + seconds, "nothing"
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = self.ask(path, timeout=5)
                if answer.status == status:
                    return answer
                last = f"{answer.status} {answer.body.decode()}"
            time.sleep(0.1)
        text = self.log.read_text(errors="replace")[-3000:]
        raise TimeoutError(f"{path} did not answer {status} within {seconds:g} s, but {last}; process: {self.process.poll()}\n{text}")

    def descendants(self) -> dict[int, str]:
        """Process id -> title of everything below the server that still runs."""
        found: dict[int, str] = {}
        todo = [self.process.pid, *self.seen]
        while todo:
            pid = todo.pop()
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    children = [int(child) for child in (task / "children").read_text().split()]
                    todo += [child for child in children if child not in found]
                    found |= {child: Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ") for child in children}
        self.seen |= set(found)
        return found

    @property
    def worker(self) -> int:
        """Process id of the one that computes."""
        return next(pid for pid, title in self.descendants().items() if "VLLM::Worker" in title)

    @contextlib.contextmanager
    def hung(self) -> Iterator[None]:
        """The worker stands still, as one does whose GPU does not answer."""
        worker = self.worker
        os.kill(worker, signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGCONT)

    def end(self) -> None:
        """Kills what is left, children first seen included: they outlive a killed server."""
        self.descendants()
        for pid in (self.process.pid, *self.seen):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def serving(
    *flags: str,
    middleware: str = "watchdog.Watchdog",
    beside: Sequence[Path] = (),
    binds: Mapping[Path, str] | None = None,
    **environment: str,
) -> Iterator[Server]:
    """A vLLM that is ready; without a middleware its own /health is the sign. Its output is kept while it runs, and shown when it fails.

    `beside`: further modules that vLLM can import, as it does the watchdog. `binds`: folders of the machine that it can read, and where.
    """
    progress = Progress()
    vllm.ROOT.build(progress)
    model.SAFETENSORS_FOLDER.build(progress)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    loads = ("--middleware", middleware) if middleware else ()
    mounts = {model.SAFETENSORS_FOLDER.path: "/models", **(binds or {})} | {
        module: f"/etc/allod/{name}" for module, name in (WATCHDOG | {each: each.name for each in beside}).items()
    }
    argv = root.command(vllm.ROOT.path, [*SERVE, "--port", str(port), *loads, *flags], binds=mounts)
    with tempfile.NamedTemporaryFile(prefix="vllm-", suffix=".log") as output:
        process = subprocess.Popen(
            argv, env=root.environment(ENVIRONMENT | environment), stdout=output, stderr=output, start_new_session=True
        )
        server = Server(process, port, Path(output.name))
        try:
            server.until("/allod/ready" if middleware else "/health", 200, seconds=START_SECONDS)
            yield server
        finally:
            server.end()
