"""Container images without Docker: a Docker archive (what `docker save` writes) of one or more layers.

`ctr images import`, `docker load` and `buildah pull docker-archive:` read it.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from typing import TYPE_CHECKING, BinaryIO, cast

from box import machine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
EPOCH = "1970-01-01T00:00:00Z"
CHUNK = 1 << 20


def write(
    out: Path,
    name: str,
    layers: Sequence[Path],
    *,
    entrypoint: Sequence[str] = (),
    cmd: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    user: str = "",
    workdir: str = "",
) -> Path:
    """Writes the image `name` to `out`, which appears only when it is complete.

    A layer is a root file system as a .tar, a folder (its content lands at /), or one file (it lands at /NAME, executable).
    The same input gives the same bytes, so an image may be cached by its hash.
    """
    unfinished = out.with_name(out.name + ".part")
    settings = {
        "Env": [f"{key}={value}" for key, value in {"PATH": PATH, **(env or {})}.items()],
        **({"Entrypoint": list(entrypoint)} if entrypoint else {}),
        **({"Cmd": list(cmd)} if cmd else {}),
        **({"User": user} if user else {}),
        **({"WorkingDir": workdir} if workdir else {}),
    }
    try:
        with unfinished.open("w+b") as file:
            _assemble(file, name, layers, settings)
        return unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)


def _assemble(file: BinaryIO, name: str, layers: Sequence[Path], settings: Mapping[str, object]) -> None:
    digests: list[str] = []
    for layer in layers:
        digests.append(_append_layer(file, layer, digests))
    image = {
        "architecture": machine.architecture(),
        "os": "linux",
        "created": EPOCH,
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created": EPOCH} for _ in digests],
    }
    document = json.dumps(image).encode()
    config_name = hashlib.sha256(document).hexdigest() + ".json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [f"{digest}.tar" for digest in digests]}]
    with tarfile.open(fileobj=file, mode="w") as archive:
        for member, data in ((config_name, document), ("manifest.json", json.dumps(manifest).encode())):
            entry = tarfile.TarInfo(member)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def _append_layer(file: BinaryIO, source: Path, known: Sequence[str]) -> str:
    """Appends a layer as a member that is named by its digest, in one pass: a layer may have gigabytes.

    Name and size stand in the member's header, before its content, and are known only after it: the header is written last.
    """
    begin = file.tell()
    file.write(bytes(tarfile.BLOCKSIZE))
    content = _Hashing(file)
    if source.suffix == ".tar":
        with source.open("rb") as tar:
            shutil.copyfileobj(tar, content, CHUNK)
    else:
        stream = cast("BinaryIO", content)  # in mode `w|` tarfile does nothing but write
        with tarfile.open(fileobj=stream, mode="w|", bufsize=CHUNK) as tar:
            _add(tar, source)
    digest = content.hash.hexdigest()
    if digest in known:  # the same layer twice is one member
        file.seek(begin)
        file.truncate()
        return digest
    entry = tarfile.TarInfo(f"{digest}.tar")
    entry.size = file.tell() - begin - tarfile.BLOCKSIZE
    file.write(bytes(-entry.size % tarfile.BLOCKSIZE))
    file.seek(begin)
    file.write(entry.tobuf(tarfile.GNU_FORMAT))  # one block, also for sizes over 8 GiB
    file.seek(0, io.SEEK_END)
    return digest


class _Hashing:
    """A file that is written and hashed at once."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return self.file.write(data)


def _add(tar: tarfile.TarFile, source: Path) -> None:
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            tar.add(path, path.relative_to(source).as_posix(), recursive=False, filter=_ownerless)
    else:
        tar.add(source, source.name, filter=_program)


def _ownerless(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def _program(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mode = 0o755
    return _ownerless(entry)
