"""A page's `console` blocks as commands with what they should print.

A line `$ COMMAND` is run by bash, in the order of the page and in one folder; a trailing backslash continues it. The lines under it
are what the page shows: each must occur in the output, in that order. `...` stands for any text within a line, a line of only `...`
for any number of lines, a space for any white space. A block of another kind with `file=NAME` in its fence is written to NAME, so that
a reader who copies it and CI have the same file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Command:
    """One command of the page and the lines that the page shows under it."""

    line: int
    text: str
    shown: tuple[str, ...]

    def missing(self, output: str) -> str | None:
        """The first line that the page shows and the command did not print; None when all came, in order."""
        rest = iter(output.splitlines())
        for shown in self.shown:
            if shown.strip() == "...":
                continue
            pattern = re.compile(".*".join(r"\s+".join(map(re.escape, part.split())) for part in shown.split("...")))
            if not any(pattern.search(printed) for printed in rest):
                return shown
        return None


@dataclass(frozen=True, slots=True)
class File:
    """A file that the page tells its reader to write."""

    name: str
    text: str


def steps(markdown: str) -> Iterator[Command | File]:
    """What a reader does, in the page's order."""
    for block in FENCE.finditer(markdown):
        kind, _, attributes = block["info"].strip().partition(" ")
        first = markdown.count("\n", 0, block.start("body")) + 1
        if name := re.search(r"file=(\S+)", attributes):
            yield File(name[1], block["body"])
        elif kind == "console":
            yield from commands(block["body"], first)


def commands(body: str, first: int) -> Iterator[Command]:
    text, line, open_ = "", first, False
    shown: list[str] = []
    for number, row in enumerate(body.splitlines(), first):
        if open_:
            text, open_ = f"{text}\n{row}", row.endswith("\\")
        elif row.startswith("$ "):
            if text:
                yield Command(line, text, tuple(shown))
            text, shown, line, open_ = row[2:], [], number, row.endswith("\\")
        elif text:
            shown.append(row)
    if text:
        yield Command(line, text, tuple(shown))
