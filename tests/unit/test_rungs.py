from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bench.publication import commit
from rungs import ladder

if TYPE_CHECKING:
    from pathlib import Path


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
