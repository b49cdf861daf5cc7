"""A cancelled run: what fixtures have started is ended again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CONFTEST.parent)}
TESTS = """
import time
from pathlib import Path
import pytest

@pytest.fixture
def started(request):
    folder = Path(__file__).parent
    (folder / f"started-{request.param}").touch()
    yield
    time.sleep(0.5)
    (folder / f"ended-{request.param}").touch()

@pytest.mark.parametrize("started", [0, 1], indirect=True)
def test_that_lasts(started):
    time.sleep(60)
"""


@pytest.mark.parametrize("processes", [0, 2], ids=["one process", "two processes"])
def test_sigterm_to_the_group_tears_fixtures_down_even_when_it_comes_twice(tmp_path: Path, processes: int) -> None:
    (tmp_path / "test_lasting.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    expected = max(1, processes)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(processes), str(tmp_path)]
    with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, start_new_session=True, stdout=subprocess.PIPE) as run:
        end = time.monotonic() + 60
        while len(list(tmp_path.glob("started-*"))) < expected and time.monotonic() < end:
            time.sleep(0.05)
        os.killpg(run.pid, signal.SIGTERM)
        time.sleep(0.2)
        os.killpg(run.pid, signal.SIGTERM)
        said = run.communicate(timeout=60)[0].decode()
    assert run.returncode == pytest.ExitCode.INTERRUPTED, said
    assert len(list(tmp_path.glob("ended-*"))) == expected, said


LASTING = """
import signal, sys, time
from pathlib import Path
folder = Path(sys.argv[1])

def end(*_):
    time.sleep(1)
    (folder / "ended").touch()
    sys.exit(1)

signal.signal(getattr(signal, sys.argv[2]), end)
(folder / "started").touch()
time.sleep(60)
"""
RUNG = "import sys; from rungs.ladder import run, termination; termination.as_interrupt(); run([sys.executable, '-c', *sys.argv[1:]])"


@pytest.mark.parametrize(("number", "group"), [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True)], ids=str)
def test_a_rung_that_is_stopped_waits_for_the_end_of_its_command(tmp_path: Path, number: signal.Signals, *, group: bool) -> None:
    command = [sys.executable, "-c", RUNG, LASTING, str(tmp_path), number.name]
    with subprocess.Popen(command, env=ENVIRONMENT, start_new_session=True, stderr=subprocess.DEVNULL) as rung:
        end = time.monotonic() + 30
        while not (tmp_path / "started").exists() and time.monotonic() < end:
            time.sleep(0.05)
        (os.killpg if group else os.kill)(rung.pid, number)
        rung.wait(timeout=30)
    assert (tmp_path / "ended").exists()
