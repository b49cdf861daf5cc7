"""One vLLM engine over several pods: what each pod of such a group runs before vLLM, and around it.

    python3 rank.py gather              the init container: waits until every pod of the group is there, so that no engine starts by half
    python3 rank.py vllm serve ARGS...  the engine: rank 0 becomes vLLM itself; another runs `vllm serve ARGS... --headless` as its child

A rank other than 0 opens no HTTP port (vLLM 0.32), and has no life of its own: when any rank ends, the others wait for it for ever
(measured). So it answers the kubelet in vLLM's place, and says what its leader says:

- GET /allod/ready is 200 while the leader's is, and was not yet when this rank began: who comes to an engine that serves already is no part
  of it. GET /allod/live is 200 while the leader's is. The kubelet asks for it only after the first ready, so a rank whose leader went away
  is started anew, and meets the leader that was too: the group comes back by itself when nobody else sees to it.
- SIGTERM is passed on when the leader has answered its last request and is gone, at the latest after ALLOD_DRAIN_SECONDS.

Environment: ALLOD_RANK (from 0), ALLOD_NODES, ALLOD_LEADER (host name of rank 0, `<group>-0.<service>`), ALLOD_DRAIN_SECONDS.
It needs the standard library alone.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

PORT: Final = 8000
LOOK: Final = 0.8  # seconds that the leader may take to answer: the kubelet waits for one
BETWEEN: Final = 0.5  # seconds between two looks at pods that are to come or to go
TELL: Final = 20  # looks between two lines that say who is missing
STEADY: Final = 5.0  # seconds that all pods of a group have to be there: those of its last start are gone by then (2 to 5 s, measured)


def main(argv: Sequence[str]) -> int:
    """Run as a container's first process. Returns its exit code; as rank 0 it does not return."""
    leader = os.environ["ALLOD_LEADER"]
    if argv == ["gather"]:
        return gather(peers(leader, int(os.environ["ALLOD_NODES"])))
    if os.environ["ALLOD_RANK"] == "0":
        os.execvp(argv[0], list(argv))  # noqa: S606  # no shell is wanted: vLLM is to be the first process
    return Rank(leader).run([*argv, "--headless"], float(os.environ["ALLOD_DRAIN_SECONDS"]))


def peers(leader: str, nodes: int) -> list[str]:
    """Host names of all pods of the group: `chat-5b21aa0c-g0-0.peers` leads `chat-5b21aa0c-g0-1.peers` and so on."""
    first, _, domain = leader.partition(".")
    group = first.rpartition("-")[0]
    return [f"{group}-{rank}" + (f".{domain}" if domain else "") for rank in range(nodes)]


def gather(names: Sequence[str], port: int = PORT, steady: float = STEADY) -> int:
    """Wait for all of them, however long it takes: one may find no GPUs yet."""
    looks, known, since = 0, dict.fromkeys(names, ""), time.monotonic()
    while time.monotonic() - since < steady or not all(known.values()):
        found = {name: where(name, port) for name in names}
        if found != known or not all(found.values()):
            known, since = found, time.monotonic()
        missing = [name for name, address in found.items() if not address]
        if missing and looks % TELL == 0:
            say(f"{len(names) - len(missing)} of {len(names)} pods of this group are there; waiting for {', '.join(missing)}")
        looks += 1
        time.sleep(BETWEEN)
    say(f"all {len(names)} pods of this group are there")
    return 0


def where(name: str, port: int) -> str:
    """The address of a pod that answers, if only that nothing listens yet; else empty. A name alone may be that of one that has gone."""
    address = ""
    try:
        address = str(socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0][4][0])
        with socket.create_connection((address, port), timeout=1):
            return address
    except ConnectionRefusedError:
        return address
    except OSError:
        return ""


class Rank:
    """A rank other than 0: its engine is a child process, its health is the leader's."""

    def __init__(self, leader: str, port: int = PORT) -> None:
        """`leader` is a host name, `port` the one on which it and this rank answer."""
        self._leader, self._port = leader, port
        self._address = ""
        """Where the leader answered last: its name may be gone before it is, when both are on their way out."""
        self._ending = threading.Event()
        self._early = not self._asks("/allod/ready")
        """Whether the leader was not ready at some time of this rank's life: then it waits for this very rank."""

    def run(self, command: Sequence[str], drain: float, host: str = "") -> int:
        """Run the engine until it ends. Returns its exit code as a shell would."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_end)
        with ThreadingHTTPServer((host, self._port), self._page()) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            child = subprocess.Popen(command)  # noqa: S603  # it is the pod's own command
            threading.Thread(target=self._leave, args=(child, drain), daemon=True).start()
            code = child.wait()
            server.shutdown()
        say(f"the engine of this rank ended with exit code {code}")
        return code if code >= 0 else 128 - code

    def ready(self) -> bool:
        """Whether the engine that this rank is part of serves."""
        answers = self._asks("/allod/ready")
        self._early |= not answers
        return answers and self._early and not self._ending.is_set()

    def live(self) -> bool:
        """Whether to go on."""
        return self._ending.is_set() or self._asks("/allod/live")

    def _told_to_end(self, _number: int, _frame: FrameType | None) -> None:
        self._ending.set()

    def _leave(self, child: subprocess.Popen[bytes], drain: float) -> None:
        """Requests in flight at the leader need this rank to the last token."""
        self._ending.wait()
        end = time.monotonic() + drain
        while time.monotonic() < end and self._listens():
            time.sleep(BETWEEN)
        child.terminate()

    def _listens(self) -> bool:
        try:
            with socket.create_connection((self._address or self._leader, self._port), timeout=1):
                return True
        except OSError:
            return False

    def _asks(self, path: str) -> bool:
        connection = http.client.HTTPConnection(self._address or self._leader, self._port, timeout=LOOK)
        try:
            connection.request("GET", path)
            self._address = connection.sock.getpeername()[0]
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            if not self._ending.is_set():
                self._address = ""
            return False
        finally:
            connection.close()

    def _page(self) -> type[BaseHTTPRequestHandler]:
        answers = {"/allod/ready": self.ready, "/allod/live": self.live}

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                verdict = answers.get(self.path)
                if verdict is None:
                    self._answer(404, "models answer at the first pod of their group")
                elif verdict():
                    self._answer(200)
                else:
                    self._answer(503, "the engine that this rank is part of does not serve")

            def _answer(self, status: int, fault: str = "") -> None:
                body = json.dumps({"ok": not fault, "fault": fault}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Asked every second: these lines would bury every other one of the log."""

        return Page


def say(text: str) -> None:
    """One line of the container's log."""
    print(text, flush=True)  # noqa: T201  # a container's log


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
