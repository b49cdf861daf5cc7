"""Unpack a wheel, and pack a folder as a wheel whose bytes depend on the folder alone."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LONG_AGO = (2020, 1, 1, 0, 0, 0)
FAST = 1
"""Deflate level: 140 MB in 10 s for torch; level 6 takes 60 s and saves a tenth."""


def unpack(wheel: Path, folder: Path, wanted: Callable[[str], bool]) -> None:
    """Unpacks the members whose path is `wanted`, with their modes."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if wanted(member.filename) and not member.is_dir():
                archive.extract(member, folder)
                (folder / member.filename).chmod((member.external_attr >> 16) & 0o777 or 0o644)


def pack(folder: Path, out: Path) -> None:
    """Packs a folder that has one NAME.dist-info; its RECORD is written anew."""
    (dist_info,) = folder.glob("*.dist-info")
    record = dist_info / "RECORD"
    lines = io.StringIO()
    table = csv.writer(lines, lineterminator="\n")
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=FAST) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_dir() or path == record:
                continue
            name, data = path.relative_to(folder).as_posix(), path.read_bytes()
            archive.writestr(_member(name, path.stat().st_mode & 0o777), data)
            table.writerow([name, f"sha256={_digest(data)}", len(data)])
        name = record.relative_to(folder).as_posix()
        table.writerow([name, "", ""])
        archive.writestr(_member(name, 0o644), lines.getvalue())


def _member(name: str, mode: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, LONG_AGO)
    member.external_attr = (0o100000 | mode) << 16
    member.compress_type = zipfile.ZIP_DEFLATED
    return member


def _digest(data: bytes) -> str:
    """As PEP 427 writes it."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
