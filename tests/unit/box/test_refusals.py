"""What the box says when it cannot go on: what is wrong, and what to do."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from box import cache, commands, door, gobuild, lock, machine
from box.errors import BoxError, NotAllowed, NotThere, Taken


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
    with pytest.raises(NotThere, match=r"no Go.*\n.*https://go\.dev/dl"):
        gobuild.check_go()


def test_a_go_that_is_too_old_is_named(go: Path) -> None:
    go.write_text("#!/bin/sh\necho go1.19.8\n")
    go.chmod(0o755)
    with pytest.raises(NotThere, match=r"too old \(go1\.19\.8\)"):
        gobuild.check_go()


def test_a_full_disk_is_said_before_anything_is_written() -> None:
    with pytest.raises(BoxError, match=r"GB free; trying takes about 1e\+09 GB.*\n.*XDG_CACHE_HOME"):
        cache.room_for(1e9, "trying")


def test_a_disk_that_becomes_full_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.explain(OSError(errno.ENOSPC, "No space left on device", "/there")) == 1
    assert "is full" in capsys.readouterr().err


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
