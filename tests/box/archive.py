"""Container images without Docker: a Docker archive (what `docker save` writes) of one or more layers.

`ctr images import`, `docker load` and `buildah pull docker-archive:` read it.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING

from box import machine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
EPOCH = "1970-01-01T00:00:00Z"


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
    made: list[Path] = []
    try:
        tars = [
            layer if layer.suffix == ".tar" else _layer(layer, out.with_name(f"{out.name}.{number}.layer"), made)
            for number, layer in enumerate(layers)
        ]
        config = {
            "Env": [f"{key}={value}" for key, value in {"PATH": PATH, **(env or {})}.items()],
            **({"Entrypoint": list(entrypoint)} if entrypoint else {}),
            **({"Cmd": list(cmd)} if cmd else {}),
            **({"User": user} if user else {}),
            **({"WorkingDir": workdir} if workdir else {}),
        }
        _assemble(unfinished, name, tars, config)
    finally:
        for path in made:
            path.unlink()
    return unfinished.replace(out)


def _assemble(out: Path, name: str, tars: Sequence[Path], config: Mapping[str, object]) -> None:
    digests = [_sha256(tar) for tar in tars]
    image = {
        "architecture": machine.architecture(),
        "os": "linux",
        "created": EPOCH,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created": EPOCH} for _ in digests],
    }
    document = json.dumps(image).encode()
    config_name = hashlib.sha256(document).hexdigest() + ".json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [f"{digest}.tar" for digest in digests]}]
    with tarfile.open(out, "w") as archive:
        for member, data in ((config_name, document), ("manifest.json", json.dumps(manifest).encode())):
            entry = tarfile.TarInfo(member)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        for digest, tar in dict(zip(digests, tars, strict=True)).items():
            entry = tarfile.TarInfo(f"{digest}.tar")
            entry.size = tar.stat().st_size
            with tar.open("rb") as content:
                archive.addfile(entry, content)


def _layer(source: Path, out: Path, made: list[Path]) -> Path:
    """A folder or one file as a layer; `made` remembers what is to be removed again."""
    made.append(out)
    with tarfile.open(out, "w") as tar:
        if source.is_dir():
            for path in sorted(source.rglob("*")):
                tar.add(path, path.relative_to(source).as_posix(), recursive=False, filter=_ownerless)
        else:
            tar.add(source, source.name, filter=_program)
    return out


def _ownerless(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def _program(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mode = 0o755
    return _ownerless(entry)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
