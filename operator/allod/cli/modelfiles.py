"""A model on a disk, read as far as memory and identity depend on it: headers, and of the weights a few blocks."""

from __future__ import annotations

import hashlib
import mmap
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from allod.domain.serving.model import config, gguf, safetensors
from allod.domain.serving.model.architecture import Architecture, UnreadableError, Weights
from allod.domain.serving.model.size import expected

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

INDEX = "model.safetensors.index.json"
LFS = b"version https://git-lfs"
SHOWN = 5
"""Names of a folder's entries in a sentence."""
HEADER_OF_OTHERS = 4096
"""Bytes of a file without a header of its own that go into the digest."""
BLOCKS = 16
"""Of each file, spread evenly, the last bytes included: a training changes nearly every weight. 30 files of a large model are 480 reads."""
BLOCK = 4096
"""Bytes."""


class MissingError(Exception):
    """There is no model where the spec says. The text is a sentence."""


@dataclass(frozen=True, slots=True)
class Model:
    """What a model's files say."""

    architecture: Architecture
    weights: Weights
    digest: str | None = None
    """`sha256:...` of names, sizes, headers and some blocks of the weight files. None: there are none."""


@dataclass(frozen=True, slots=True)
class _File:
    """One file with weights."""

    name: str
    size: int
    header: bytes
    blocks: bytes
    weights: Weights


def load(path: Path) -> Model:
    """Read a folder of Hugging Face's shape or a GGUF file. Raises MissingError, UnreadableError or OSError."""
    if path.is_file():
        return _gguf(path)
    if not path.is_dir():
        raise MissingError(f"{path} does not exist{_holds(path.parent)}")
    if not (path / "config.json").is_file():
        raise MissingError(_no_config(path))
    files = [_weights(file) for file in _weight_files(path)]
    total = sum((file.weights for file in files), Weights(0, 0))
    return Model(config.architecture(_config(path / "config.json")), total, _digest(files))


def described(path: Path) -> Model:
    """Read a config.json, by whatever name it was kept, or its folder, or that of a GGUF file; and the weights, where there are any.

    Raises as `load`.
    """
    if path.is_dir():
        path = next((path / name for name in ("config.json", *_only_gguf(path)) if (path / name).is_file()), path)
    if path.suffix != ".json":
        return load(path)
    if path.name == "config.json" and _weight_files(path.parent):
        return load(path.parent)
    parsed = _config(path)
    shape = config.architecture(parsed)
    return Model(shape, expected(parsed, shape))


def _gguf(path: Path) -> Model:
    files: list[_File] = []
    shape: Architecture | None = None
    for part in _splits(path):
        with _named(part), part.open("rb") as file:
            if not (size := part.stat().st_size):
                raise UnreadableError("it is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                found = gguf.read(mapped)
                shape = shape or gguf.architecture(found)
                files.append(_File(part.name, size, bytes(mapped[: found.header_bytes]), _blocks(file, size), gguf.weights(found, size)))
    assert shape is not None  # noqa: S101  # `_splits` names one file at least
    return Model(shape, sum((file.weights for file in files), Weights(0, 0)), _digest(files))


def _only_gguf(folder: Path) -> list[str]:
    """The name of the file to load where there is no doubt which."""
    first = [file.name for file in folder.glob("*.gguf") if not re.search(r"-(?!00001)\d{5}-of-\d{5}\.gguf$", file.name)]
    return first if len(first) == 1 else []


def _splits(path: Path) -> list[Path]:
    """The parts of a model that was split as `name-00001-of-00003.gguf`; llama.cpp is given the first."""
    found = re.fullmatch(r"(.*)-00001-of-(\d{5})\.gguf", path.name)
    if not found:
        return [path]
    parts = [path.with_name(f"{found[1]}-{number:05}-of-{found[2]}.gguf") for number in range(1, int(found[2]) + 1)]
    for part in parts:
        if not part.is_file():
            raise MissingError(f"{path.name} is the first of {int(found[2])} parts, and {part.name} is missing")
    return parts


def _weight_files(folder: Path) -> list[Path]:
    """What vLLM would load: the shards of the index, else every safetensors file, else PyTorch's."""
    if (folder / INDEX).is_file():
        with _named(folder / INDEX):
            names = safetensors.shards(
                config.parse(_bounded(folder / INDEX, safetensors.LARGEST_HEADER), INDEX, safetensors.LARGEST_HEADER)
            )
        files = [folder / name for name in names]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise MissingError(f"{len(missing)} of {len(files)} weight files are missing, {missing[0]} for one")
        return files
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))


def _weights(file: Path) -> _File:
    size = file.stat().st_size
    with _named(file), file.open("rb") as opened:
        if file.suffix != ".safetensors":
            return _File(file.name, size, opened.read(HEADER_OF_OTHERS), _blocks(opened, size), Weights(size))
        prefix = opened.read(safetensors.PREFIX)
        if prefix and LFS.startswith(prefix):
            raise UnreadableError("it is a pointer of Git LFS and not the file itself: run git lfs pull")
        header = opened.read(safetensors.header_length(prefix, size))
        return _File(file.name, size, header, _blocks(opened, size), safetensors.weights(header, size))


def _blocks(file: BinaryIO, size: int) -> bytes:
    """What goes into the digest of the weights themselves."""
    step = max(size - BLOCK, 0) / (BLOCKS - 1)
    found = b""
    for number in range(BLOCKS):
        file.seek(round(number * step))
        found += file.read(BLOCK)
    return found


def _digest(files: Iterable[_File]) -> str | None:
    lines = [f"{file.name} {file.size} {hashlib.sha256(file.header + file.blocks).hexdigest()}\n" for file in files]
    return f"sha256:{hashlib.sha256(''.join(sorted(lines)).encode()).hexdigest()}" if lines else None


def _config(path: Path) -> config.Config:
    return config.parse(_bounded(path, config.LARGEST_BYTES))


def _bounded(path: Path, limit: int) -> bytes:
    """At most one byte more than the limit, by which the parser sees that there was more."""
    with path.open("rb") as file:
        return file.read(limit + 1)


def _no_config(folder: Path) -> str:
    files = sorted(folder.glob("*.gguf"))
    if files:
        return f"{folder} holds {files[0].name}: give model.uri that file, and engine.type LlamaCpp"
    return f"{folder} has no config.json, so there is no model of Hugging Face's shape{_holds(folder)}"


def _holds(folder: Path) -> str:
    """What is there instead, which mostly shows the misspelt name."""
    if not folder.is_dir():
        return ""
    names = sorted(entry.name for entry in folder.iterdir())
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"; {folder} holds {', '.join(names[:SHOWN])}{more}" if names else f"; {folder} is empty"


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Say which file it is that cannot be read."""
    try:
        yield
    except UnreadableError as error:
        raise UnreadableError(f"{file.name}: {error}") from error
