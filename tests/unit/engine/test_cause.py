"""images/engine/cause.py in processes of its own, with vLLM's words in its log."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CAUSE = Path(__file__).parents[3] / "images/engine/cause.py"
PROGRAM = """
import logging, logging.config, sys, sitecustomize
sitecustomize.PATH = sys.argv[1]
logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "loggers": {"vllm": {"handlers": [], "propagate": False}}})
log = logging.getLogger("vllm.v1.engine.core")
def fails(words, error):
    try:
        raise error
    except Exception:
        log.exception(words)
"""
MISFIT = "No available memory for the cache blocks."
FOLLOWS = 'fails("EngineCore failed to start.", RuntimeError("WorkerProc initialization failed"))'


def told(tmp_path: Path, story: str, *, kubelet: bool = True) -> str | None:
    """The termination message after this story."""
    (tmp_path / "sitecustomize.py").symlink_to(CAUSE)
    message = tmp_path / "termination-log"
    if kubelet:
        message.touch()
    program = f"{PROGRAM}\n{story}"
    subprocess.run([sys.executable, "-c", program, str(message)], env={"PYTHONPATH": str(tmp_path)}, check=True, capture_output=True)
    return message.read_text() if message.exists() else None


@pytest.mark.parametrize(
    ("story", "message"),
    [
        (f'fails("EngineCore failed to start.", ValueError("{MISFIT}"))', f"ValueError: {MISFIT}"),
        (f'fails("WorkerProc failed to start.", ValueError("{MISFIT}")); {FOLLOWS}', f"ValueError: {MISFIT}"),
        ('fails("EngineCore encountered a fatal error.", ValueError("a" * 5000))', "ValueError: " + "a" * 988),
        ('fails("Invocation of x method failed", ValueError("a request of somebody"))', ""),
        ('log.error("EngineCore has no exception to tell")', ""),
        ("", ""),
    ],
)
def test_the_first_exception_of_an_engine_that_ends_is_the_message(tmp_path: Path, story: str, message: str) -> None:
    assert told(tmp_path, story) == message


def test_outside_of_a_container_nothing_is_written(tmp_path: Path) -> None:
    assert told(tmp_path, FOLLOWS, kubelet=False) is None
