from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tutorial.shell import Shell

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path, dict(os.environ))


def test_a_shell_remembers_what_earlier_commands_did(shell: Shell) -> None:
    with shell:
        assert shell.run("cd /; word=there", 10) == ("", 0)
        assert shell.run("pwd; echo $word; false", 10) == ("/\nthere\n", 1)


def test_output_without_a_last_line_end_is_not_lost(shell: Shell) -> None:
    with shell:
        assert shell.run("printf abc", 10) == ("abc", 0)


def test_a_command_that_never_ends_is_ended(shell: Shell) -> None:
    with shell:
        assert shell.run("echo before; sleep 1000", 0.5) == ("before\n", -9)
