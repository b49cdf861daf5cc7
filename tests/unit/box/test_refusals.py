"""What the box says when it cannot go on: what is wrong, and what to do."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from box import cache, commands, door, gobuild, lock, machine, prerequisites
from box.errors import BoxError, NotAllowed, NotThere, Taken
from box.prerequisites import GO


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH: put a program called go there, or none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "go"


@pytest.mark.usefixtures("nobody")
def test_a_cluster_with_nodes_needs_root() -> None:
    with pytest.raises(NotAllowed, match=r'needs root.*\n.*sudo -E env "PATH=\$PATH"'):
        machine.require_root("A cluster with nodes")


def test_without_go_it_says_where_go_comes_from(go: Path) -> None:
    assert not go.exists()
    with pytest.raises(NotThere, match=r"Baking needs Go, which this machine does not have\.\n +Install Go.*https://go\.dev/dl"):
        prerequisites.check("Baking", GO)


def test_a_go_that_is_too_old_is_named(go: Path) -> None:
    go.write_text("#!/bin/sh\necho go1.19.8\n")
    go.chmod(0o755)
    with pytest.raises(NotThere, match=r"a newer Go than go1\.19\.8, which"):
        prerequisites.check("Baking", GO)


def test_all_that_is_missing_is_said_at_once(go: Path) -> None:
    go.with_name("sugar").touch(mode=0o755)
    spoons = {"spoon": "cutlery", "fork": "cutlery", "sugar": "sugar"}
    with pytest.raises(NotThere) as refused:
        prerequisites.check("Baking", spoons | GO)
    assert refused.value.wrong == "Baking needs spoon, fork, Go, which this machine does not have."
    assert refused.value.todo.startswith("apt-get install cutlery\n  Install Go 1.26 or later")


@pytest.mark.usefixtures("go")
@pytest.mark.parametrize("only", [[], ["--only", "kube"]], ids=str)
def test_without_go_nothing_is_installed_or_fetched(
    only: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert commands.run(["prepare", *only]) == 1
    said = capsys.readouterr().err
    assert "which this machine does not have" in said
    assert "apt-get update" not in said
    assert [path.name for path in (tmp_path / "allod").iterdir()] == []


def test_a_full_disk_is_said_before_anything_is_written() -> None:
    with pytest.raises(BoxError, match=r"GB free; trying takes about 1e\+09 GB.*\n.*XDG_CACHE_HOME"):
        cache.room_for(1e9, "trying")


def test_a_disk_that_becomes_full_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.explain(OSError(errno.ENOSPC, "No space left on device", "/there")) == 1
    assert "is full" in capsys.readouterr().err


def test_a_cache_that_cannot_be_made_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()  # root may write anywhere, but not below a file
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert commands.run(["status"]) == 1
    assert f"The cache {tmp_path}/file/allod cannot be made: Not a directory.\nSet XDG_CACHE_HOME" in capsys.readouterr().err


@pytest.mark.usefixtures("nobody")
def test_a_cache_of_root_is_a_sentence_for_others(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/1")
    assert commands.run(["status"]) == 1
    assert "The cache /proc/1/allod cannot be made" in capsys.readouterr().err


def test_a_file_of_somebody_else_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.explain(PermissionError(errno.EACCES, "Permission denied", "/there/lock")) == 1
    assert f"User {os.geteuid()} may not use /there/lock." in capsys.readouterr().err


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Taken, match=f"Port {port} of 127.0.0.1 is taken"):
            door.listen(port)


def test_two_commands_do_not_change_one_box_at_once(tmp_path: Path) -> None:
    with lock.alone(tmp_path / "box"), pytest.raises(Taken, match=rf"process {os.getpid()}\) is changing"), lock.alone(tmp_path / "box"):
        pass
    with lock.alone(tmp_path / "box"):
        pass


@pytest.mark.parametrize("hidden", ["/var/lib/jenkins/.cache/allod", "/run/user/0"])
def test_a_cache_that_nodes_cannot_see_is_refused(hidden: str) -> None:
    with pytest.raises(BoxError, match=r"each node of the box replaces.*\n.*XDG_CACHE_HOME"):
        cache.seen_by_nodes(Path(hidden))


def test_a_door_to_no_place_says_how_places_are_written(tmp_path: Path) -> None:
    with pytest.raises(BoxError, match=r"web is no place in the cluster.*\n.*SERVICE\.NAMESPACE:PORT"):
        door.open_door(tmp_path, 1, "web")


@pytest.mark.parametrize("words", [["kubectl", "get", "nodes"], ["kubeconfig"], ["load", "image.tar"]], ids=lambda words: words[0])
def test_a_command_for_a_cluster_that_is_not_there_builds_nothing_and_says_how_to_have_one(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(gobuild, "built", lambda: pytest.fail("Kubernetes was built"))
    assert commands.run(words) == 1
    assert f"There is no cluster in {tmp_path}/allod/box.\nBring one up: make cluster\n" in capsys.readouterr().err
