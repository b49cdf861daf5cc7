"""Folders of commands that were killed are removed; those of commands that run are not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from box import cache, cgroups, scratch

HOLD = """
import sys, time
sys.path.insert(0, sys.argv[1])
from box import scratch
with scratch.folder("bench-") as folder:
    print(folder, flush=True)
    time.sleep(60)
"""
SOURCES = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(cgroups, "remove", lambda _name: None)


def test_a_folder_is_there_while_its_command_runs_and_gone_afterwards() -> None:
    with scratch.folder("nothing-") as folder:
        assert folder.parent == cache.folder()
        assert scratch.remove_left() == []
        assert folder.is_dir()
    assert not folder.exists()


def test_what_a_killed_command_left_is_removed_and_what_another_one_holds_is_kept() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(SOURCES)], stdout=subprocess.PIPE, text=True) as holder:
        try:
            folder = Path((holder.stdout or sys.stdin).readline().strip())
            (folder / "allod").mkdir()
            assert scratch.remove_left() == []
        finally:
            holder.kill()
    assert folder.is_dir()
    assert scratch.remove_left() == [folder]
    assert not folder.exists()


@pytest.mark.parametrize("how", ["command line", "environment", "place"])
def test_a_folder_that_a_process_still_uses_is_kept(how: str) -> None:
    left = cache.folder() / "box-that-ends-0a_b1c2d"
    left.mkdir()
    said, environment, place = {
        "command line": (str(left / "box"), {}, "/"),
        "environment": ("", {"XDG_CACHE_HOME": str(left)}, "/"),
        "place": ("", {}, str(left)),
    }[how]
    with subprocess.Popen(["/bin/sh", "-c", "echo; read _", said], env=environment, cwd=place, stdin=-1, stdout=-1) as user:
        assert user.stdout
        user.stdout.readline()
        assert scratch.remove_left() == []
        user.kill()
    assert scratch.remove_left() == [left]


def test_other_folders_of_the_cache_and_links_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (cache.folder() / "bench-00000000").symlink_to(tmp_path / "mine")
    (cache.folder() / "box").mkdir()
    (cache.folder() / "bench-mine").mkdir()
    assert scratch.remove_left() == []
    assert {path.name for path in cache.folder().iterdir()} == {"bench-00000000", "box", "bench-mine", "scratch.lock"}
