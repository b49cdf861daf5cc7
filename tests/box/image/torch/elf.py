"""What a shared library offers and wants, as readelf tells it."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Offered:
    """A symbol that a library defines."""

    kind: str
    """FUNC, OBJECT, TLS ..."""
    size: int
    """In bytes."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A symbol that a library expects from another."""

    version: str
    """Such as `libcudart.so.13` or `GLIBC_2.17`; empty when it names none."""
    weak: bool
    """A weak symbol may stay unresolved."""


@dataclass(frozen=True, slots=True)
class Symbols:
    """The dynamic symbol table of one library, by symbol name."""

    offered: dict[str, Offered]
    wanted: dict[str, Wanted]


def symbols(library: Path) -> Symbols:
    """Reads the dynamic symbols of a library."""
    return parse_symbols(_readelf("--dyn-syms", library))


def needed(library: Path) -> list[str]:
    """The libraries that the dynamic linker must find for this one."""
    return re.findall(r"\(NEEDED\).*\[(.+)\]", _readelf("--dynamic", library))


def parse_symbols(listing: str) -> Symbols:
    """`readelf --wide --dyn-syms` as data.

    A line reads `  7: 0000000000001139  22 FUNC  GLOBAL DEFAULT  14 name@@VERSION`; UND in place of 14 means wanted, not offered.
    """
    found = Symbols({}, {})
    for line in listing.splitlines():
        match line.split():
            case [number, _, size, kind, bind, _, section, full, *_] if number.rstrip(":").isdigit():
                name, _, version = full.partition("@")
                if section == "UND":
                    found.wanted[name] = Wanted(version.lstrip("@"), weak=bind == "WEAK")
                else:
                    found.offered[name] = Offered(kind, int(size, 0))
    return found


def _readelf(what: str, library: Path) -> str:
    return subprocess.run(["readelf", "--wide", what, str(library)], check=True, capture_output=True, text=True).stdout
