"""Processes are found whatever they are just doing."""

from __future__ import annotations

import subprocess

from box import processes

MARK = "allod-test-of-execs"


def test_a_process_that_becomes_another_program_is_found_at_every_moment() -> None:
    again = 'exec sh -c "$0" "$0" "$1"'
    with subprocess.Popen(["sh", "-c", again, again, MARK]) as becoming:
        try:
            missed = sum(becoming.pid not in processes.find(again, MARK) for _ in range(300))
        finally:
            becoming.kill()
    assert missed == 0
