"""Where manifests are read from: files, folders and standard input. What cannot be read is told like everything else that is found."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from allod.cli.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STDIN = "stdin"
"""Its name in findings."""
ENDINGS = (".yaml", ".yml", ".json")
"""Of the files of a folder, as kubectl reads it."""
UNREADABLE = "unreadable"
"""The rule of what nobody could look at."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file's text."""

    file: str
    text: str


def sources(names: Iterable[str], *, recursive: bool) -> Iterator[Source | Finding]:
    """Each file once, in the order given; the files of a folder by name. `-` is standard input."""
    for name in dict.fromkeys(names):
        if name == "-":
            yield _decoded(STDIN, sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode())
        elif Path(name).is_dir():
            files = _files(Path(name), recursive=recursive)
            yield from map(_read, files) if files else [_unreadable(name, f"the folder has no {', '.join(f'*{each}' for each in ENDINGS)}")]
        else:
            yield _read(name)


def _files(folder: Path, *, recursive: bool) -> list[str]:
    found = folder.rglob("*") if recursive else folder.glob("*")
    return sorted(str(file) for file in found if file.suffix in ENDINGS and file.is_file())


def _read(file: str) -> Source | Finding:
    try:
        return _decoded(file, Path(file).read_bytes())
    except OSError as error:
        return _unreadable(file, f"it cannot be read: {error.strerror}")


def _decoded(file: str, data: bytes) -> Source | Finding:
    try:
        return Source(file, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Finding(file, data.count(b"\n", 0, error.start) + 1, "error", "yaml", "this is not YAML: it is no text in UTF-8")


def _unreadable(file: str, why: str) -> Finding:
    return Finding(file, 1, "error", UNREADABLE, why)
