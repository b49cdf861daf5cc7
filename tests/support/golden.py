"""Expected output as files under tests/golden, so that a change of what we render is read as a diff in review."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True, slots=True)
class Golden:
    """Compares text with a file, or writes the file where `pytest --update-golden` was asked for."""

    update: bool

    def check(self, name: str, text: str) -> None:
        """Raises AssertionError with a diff. `name` is relative to tests/golden."""
        path = FOLDER / name
        if self.update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        expected = path.read_text() if path.exists() else ""
        diff = "".join(
            difflib.unified_diff(expected.splitlines(keepends=True), text.splitlines(keepends=True), f"golden/{name}", "rendered now")
        )
        assert not diff, f"if the change is meant: pytest --update-golden\n{diff}"
