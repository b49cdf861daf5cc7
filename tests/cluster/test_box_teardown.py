"""What a box leaves behind, whatever way it ended: nothing but its logs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from box import Box, cgroups, machine, processes, scratch, teardown, waiting
from box.namespaces import SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder beside the usual one: this box is not the one of the other tests."""
    with scratch.folder("box-that-ends-") as folder:
        yield folder / "box"


def footprint() -> dict[str, str]:
    """What a program could have changed on the machine."""
    settings = ["net/ipv4/ip_forward", "kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory", "net/netfilter/nf_conntrack_max"]
    found = {setting: path.read_text() for setting in settings if (path := Path("/proc/sys") / setting).exists()}
    commands = (("ip", "-brief", "link"), ("ip", "route"), ("nft", "list", "ruleset"))
    said = {" ".join(command): subprocess.run(command, capture_output=True, text=True, check=True).stdout for command in commands}
    return {
        **found,
        **said,
        "mounts": Path("/proc/mounts").read_text(),
        "netns": " ".join(str(path) for path in Path("/run").glob("netns/*")),
    }


def left(state: Path) -> list[str]:
    """Processes, cgroups and files of the box."""
    running = [" ".join(words) for pid, words in processes.commands() if str(state) in " ".join(words) and pid != os.getpid()]
    groups = [str(tree / cgroups.name(state)) for tree in machine.cgroup_trees() if (tree / cgroups.name(state)).exists()]
    return [*running, *groups, *(str(path) for path in state.glob("*") if path.name != teardown.KEPT)]


def test_a_box_that_was_up_leaves_nothing(state: Path) -> None:
    before = footprint()
    box = Box(state)
    assert box.up(nodes=1, gpus=1)
    try:
        assert len(left(state)) > 10
        assert footprint() == before
    finally:
        assert box.down()
    assert left(state) == []
    assert footprint() == before
    assert not box.down()


def test_an_up_that_is_killed_half_way_leaves_nothing_after_down(state: Path) -> None:
    before = footprint()
    command = [sys.executable, "-m", "box", "--state", str(state), "up", "--nodes", "1"]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(SOURCES)}, stderr=subprocess.DEVNULL) as up:
        waiting.until("the API server has been started", (state / "log/box/kube-apiserver.pid").exists, seconds=30)
        up.send_signal(signal.SIGKILL)
    box = Box(state)
    assert not box.running
    assert left(state)
    assert box.down()
    assert left(state) == []
    assert footprint() == before
