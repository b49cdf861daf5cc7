from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bench.publication import commit
from rungs import ladder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(("asked", "names"), [(["cluster"], "cluster"), (["vllm"], "vllm"), ([], "cluster and vllm")], ids=str)
def test_rungs_that_need_root_say_so_before_anything_is_climbed(
    asked: list[str], names: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["rungs", *asked])
    monkeypatch.setattr(ladder, "climb", lambda rung: pytest.fail(f"{rung.name} was climbed"))
    assert ladder.main() == 1
    said = capsys.readouterr()
    assert f"Climbing {names} needs root" in said.err
    assert said.out == ""


def test_what_the_last_rung_lacks_is_said_before_the_first_is_climbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = ladder.programs([command for rung in ladder.LADDER for command in rung.commands])
    assert {"go", "gcc", "strip"} <= set(found)
    assert "buildah" not in found, "the rung of the cluster installs it"
    alone = ladder.programs([command for rung in ladder.LADDER if rung.name == "vllm" for command in rung.commands])
    assert {"go", "gcc", "strip", "buildah"} <= set(alone)
    assert ladder.programs(ladder.LADDER[0].commands) == {}


def test_only_rungs_with_real_nodes_need_root() -> None:
    assert [rung.name for rung in ladder.LADDER if rung.root] == ["cluster", "vllm"]


def test_times_are_kept_rung_by_rung_in_the_order_of_the_ladder(tmp_path: Path) -> None:
    kept = tmp_path / "rungs.json"
    assert ladder.remembered(kept) == {}
    ladder.keep("unit", 61.04, kept)
    ladder.keep("lint", 20, kept)
    assert list(ladder.remembered(kept).items()) == [("lint", 20), ("unit", 61.0)]
    ladder.keep("unit", 59.96, kept)
    assert ladder.remembered(kept)["unit"] == 60.0


def test_times_of_another_commit_are_not_mixed_with_ours(tmp_path: Path) -> None:
    kept = tmp_path / "rungs.json"
    kept.write_text(json.dumps({"commit": "0000000", "seconds": {"lint": 1, "unit": 2}}))
    assert ladder.remembered(kept) == {}
    ladder.keep("unit", 60, kept)
    assert json.loads(kept.read_text()) == {"commit": commit(), "seconds": {"unit": 60}}
