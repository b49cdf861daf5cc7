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


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize("name", ["lint", "unit", "control-plane"])
def test_the_other_rungs_need_no_root(name: str) -> None:
    ladder.require([rung for rung in ladder.LADDER if rung.name == name])


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
