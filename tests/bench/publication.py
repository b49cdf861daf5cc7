"""How a figure is published: with what it means, the limit that was measured beside it, the machine and the commit."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from box import machine

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "benchmarks"
START, END = "<!-- figures: written by `make bench` -->", "<!-- end of figures -->"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that somebody will quote."""

    what: str
    """What was measured, in words that need no context."""
    value: float
    unit: str
    goal: float | None = None
    """What it should be at most. None: there is no goal, it is told as it is."""
    limit: str | None = None
    """What the machine or the parts below us took in the same run, so that the difference is ours."""


def publish(name: str, figures: list[Figure], measured_on: Mapping[str, Any] | None = None) -> Path:
    """Writes docs/benchmarks/NAME.json, and the table of all figures in its README. Without a word of another machine it is this one."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    document = {
        "name": name,
        "commit": commit(),
        "machine": measured_on or machine.description(),
        "figures": [{key: value for key, value in asdict(figure).items() if value is not None} for figure in figures],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")
    _table()
    return path


def _table() -> None:
    """Between two marks of the page: the rest of it is written by hand."""
    page = FOLDER / "README.md"
    before, _, rest = page.read_text().partition(START)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{START}\n\n{table(sorted(FOLDER.glob('*.json')))}\n{END}{after}")


def table(documents: list[Path]) -> str:
    """One row for each figure of these documents."""
    rows = ["| benchmark | what | measured | goal | beside it | commit |", "| --- | --- | --- | --- | --- | --- |"]
    for path in documents:
        found = json.loads(path.read_text())
        for figure in found["figures"]:
            goal = f"{figure['goal']:g} {figure['unit']}" if "goal" in figure else ""
            measured = f"{figure['value']:g} {figure['unit']}"
            cells = [found["name"], figure["what"], measured, goal, figure.get("limit", ""), found["commit"]]
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def commit() -> str:
    """The one that is checked out."""
    return _git("rev-parse", "--short", "HEAD")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
