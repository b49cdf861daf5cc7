"""images/engine/rank.py as the processes that it is: a leader on one address of loopback, a rank on another, a child in vLLM's place."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import rank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LEADER, OTHER = "127.0.0.2", "127.0.0.3"
FOLDER = Path(rank.__file__).parent
RUN = f"import rank, sys; sys.exit(rank.Rank({LEADER!r}, int(sys.argv[1])).run(sys.argv[2:], 30, {OTHER!r}))"
SLEEPS = "import time; time.sleep(60)"


class Leader:
    """What the first rank answers."""

    def __init__(self, port: int) -> None:
        self.status = 503

        class Page(BaseHTTPRequestHandler):
            def do_GET(page) -> None:  # noqa: N805  # `self` is the leader
                page.send_response(self.status)
                page.send_header("Content-Length", "0")
                page.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing to tell."""

        self.server = ThreadingHTTPServer((LEADER, port), Page)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def gone(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind((LEADER, 0))
        return int(free.getsockname()[1])


@contextmanager
def running(port: int, child: str = SLEEPS) -> Iterator[subprocess.Popen[bytes]]:
    """A rank whose engine is a small program."""
    command = [sys.executable, "-c", RUN, str(port), sys.executable, "-c", child]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(FOLDER)})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def asked(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{OTHER}:{port}{path}", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code
    except OSError:
        return 0


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_rank_is_as_ready_as_its_leader(port: int) -> None:
    with running(port):
        until(lambda: asked(port, "/allod/ready") == 503)
        leader = Leader(port)
        assert asked(port, "/allod/ready") == 503
        leader.status = 200
        until(lambda: asked(port, "/allod/ready") == 200)
        assert asked(port, "/allod/live") == 200
        assert asked(port, "/v1/models") == 404
        leader.gone()
        assert (asked(port, "/allod/ready"), asked(port, "/allod/live")) == (503, 503)


def test_a_rank_that_comes_to_an_engine_that_serves_already_is_no_part_of_it(port: int) -> None:
    leader = Leader(port)
    leader.status = 200
    with running(port):
        until(lambda: asked(port, "/allod/live") == 200)
        assert asked(port, "/allod/ready") == 503
        leader.status = 503  # it was started anew, and waits for this rank
        assert asked(port, "/allod/ready") == 503
        leader.status = 200
        assert asked(port, "/allod/ready") == 200
    leader.gone()


def test_a_rank_stays_until_its_leader_has_answered_its_last_request(port: int) -> None:
    leader = Leader(port)
    with running(port) as process:
        until(lambda: asked(port, "/allod/ready") == 503)
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
        assert asked(port, "/allod/live") == 200, "its kubelet is not to end it meanwhile"
        leader.gone()
        assert process.wait(10) == 128 + signal.SIGTERM


def test_the_end_of_the_engine_is_the_end_of_the_container(port: int) -> None:
    with running(port, "import sys; sys.exit(7)") as process:
        assert process.wait(20) == 7


def test_the_first_rank_becomes_the_engine_itself() -> None:
    environment = os.environ | {"ALLOD_RANK": "0", "ALLOD_LEADER": "chat-0.peers"}
    done = subprocess.run(
        [sys.executable, FOLDER / "rank.py", sys.executable, "-c", "import os, sys; print(os.getpid(), sys.argv[1:])", "serve"],
        env=environment,
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.endswith("['serve']\n"), "no --headless"


def test_the_names_of_a_group_follow_from_that_of_its_first_pod() -> None:
    assert rank.peers("chat-5b21aa0c-g1-0.chat-5b21aa0c-peers", 3) == [f"chat-5b21aa0c-g1-{n}.chat-5b21aa0c-peers" for n in (0, 1, 2)]


def test_pods_wait_until_each_of_them_answers_if_only_by_a_refusal(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert rank.gather([LEADER, OTHER], port, steady=0.6) == 0
    assert capsys.readouterr().out == "all 2 pods of this group are there\n"
    assert (rank.where(OTHER, port), rank.where("nobody.invalid", port)) == (OTHER, "")
