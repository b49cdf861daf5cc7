"""The header of a GGUF file, versions 2 and 3 (ggml-org/ggml, docs/gguf.md): key-value pairs, then one record per tensor."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from allod.domain.serving.model.architecture import Architecture, UnreadableError, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

MAGIC = b"GGUF"
VERSIONS = (2, 3)
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
STRING, ARRAY = 8, 9
MOST_PAIRS = 4096
MOST_TENSORS = 262_144
MOST_STRINGS = 4_194_304
"""Tokens and merges of the largest vocabularies come to half a million."""
KEPT_ARRAY = 1024
"""Longer arrays are vocabularies: skipped, for no decision needs them."""
LONGEST_KEY = 2**16
MOST_DIMENSIONS = 8


@dataclass(slots=True)
class _Cursor:
    """Reads forward through a buffer and never past its end."""

    data: memoryview
    at: int = 0
    strings: int = 0

    def skip(self, length: int) -> int:
        start = self.at
        if length < 0 or start + length > len(self.data):
            raise UnreadableError("the file ends inside its own header: it was not copied whole, or it is no GGUF file")
        self.at = start + length
        return start

    def scalar(self, shape: str) -> Any:
        return struct.unpack_from(shape, self.data, self.skip(struct.calcsize(shape)))[0]

    def string(self, longest: int = LONGEST_KEY, *, keep: bool = True) -> str:
        self.strings += 1
        if self.strings > MOST_STRINGS:
            raise UnreadableError("its header has more strings than any vocabulary")
        length = self.scalar("<Q")
        start = self.skip(length)
        if not keep:
            return ""
        if length > longest:
            return ""
        return bytes(self.data[start : start + length]).decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind in SCALARS:
            return self.scalar(SCALARS[kind])
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            return self.array()
        raise UnreadableError(f"its header has a value of the unknown type {kind}")

    def array(self) -> list[Any]:
        kind, length = self.scalar("<I"), self.scalar("<Q")
        if kind in SCALARS:
            if length <= KEPT_ARRAY:
                return [self.scalar(SCALARS[kind]) for _ in range(length)]
            self.skip(length * struct.calcsize(SCALARS[kind]))
            return []
        if kind == STRING:
            return [text for _ in range(length) if (text := self.string(keep=length <= KEPT_ARRAY))]
        raise UnreadableError("its header has an array of arrays, which no known writer makes")


@dataclass(frozen=True, slots=True)
class Gguf:
    """What the header of one file says."""

    values: Mapping[str, Any]
    parameters: int
    header_bytes: int


def read(data: Buffer) -> Gguf:
    """Take a header apart. `data` begins at the start of the file; a memory map costs only the pages that are read."""
    with memoryview(data) as view:  # released even after an error: a map with a view of it cannot be closed
        return _read(_Cursor(view))


def _read(cursor: _Cursor) -> Gguf:
    if bytes(cursor.data[:4]) != MAGIC:
        raise UnreadableError("it does not begin with GGUF: this is another kind of file")
    cursor.skip(4)
    version, tensors, pairs = cursor.scalar("<I"), cursor.scalar("<Q"), cursor.scalar("<Q")
    if version not in VERSIONS:
        raise UnreadableError(f"it is GGUF version {version}; versions {VERSIONS[0]} and {VERSIONS[1]} are known")
    if pairs > MOST_PAIRS or tensors > MOST_TENSORS:
        raise UnreadableError(f"its header claims {pairs} values and {tensors} tensors: no model has so many")
    values = {cursor.string(): cursor.value(cursor.scalar("<I")) for _ in range(pairs)}
    parameters = sum(_tensor(cursor) for _ in range(tensors))
    return Gguf(values, parameters, cursor.at)


def _tensor(cursor: _Cursor) -> int:
    cursor.string()
    dimensions = cursor.scalar("<I")
    if dimensions > MOST_DIMENSIONS:
        raise UnreadableError(f"its header has a tensor of {dimensions} dimensions")
    sides = [cursor.scalar("<Q") for _ in range(dimensions)]
    cursor.skip(4 + 8)  # type and offset: the file's size already says how many bytes there are
    if any(side >= 2**48 for side in sides):
        raise UnreadableError("its header has a tensor of an impossible shape")
    return math.prod(sides)


def weights(gguf: Gguf, file_size: int) -> Weights:
    """Everything after the header is loaded as it is."""
    return Weights(stored=max(0, file_size - gguf.header_bytes), parameters=gguf.parameters)


def architecture(gguf: Gguf) -> Architecture:
    """The shape that the header describes. Raises UnreadableError when a number is missing or absurd."""
    name = gguf.values.get("general.architecture")
    if not isinstance(name, str) or not name:
        raise UnreadableError("its header does not name an architecture")
    shape = {key.removeprefix(f"{name}."): value for key, value in gguf.values.items() if key.startswith(f"{name}.")}
    heads = _count(shape, "attention.head_count")
    latent = shape.get("attention.kv_lora_rank")
    return Architecture(
        name=name[:80],
        layers=_count(shape, "block_count"),
        attention_heads=heads,
        kv_heads=_count(shape, "attention.head_count_kv", heads),
        head_dim=_count(shape, "attention.key_length", max(1, _count(shape, "embedding_length") // heads)),
        latent=_count(shape, "attention.kv_lora_rank") + _count(shape, "rope.dimension_count", 0) if latent else None,
        context=_count(shape, "context_length", 0) or None,
        dtype="float16",
        quantization="gguf",
        irregular=_irregular(shape),
        pools=bool(shape.get("pooling_type")),  # 0 is none
    )


def _irregular(shape: Mapping[str, Any]) -> str | None:
    if any(key.startswith(("ssm.", "wkv.", "shortconv.")) for key in shape):
        return "state-space (Mamba) or other recurrent layers"
    if any(len(set(shape[key])) > 1 for key in ("attention.head_count", "attention.head_count_kv") if isinstance(shape.get(key), list)):
        return "layers with different numbers of heads"
    if shape.get("attention.sliding_window"):
        return "sliding-window attention"
    return None


def _count(shape: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = shape.get(key, default)
    if isinstance(value, list):
        value = max(value, default=default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 2**24 or (value == 0 and default is None):
        raise UnreadableError(f"its header has no sensible {key}")
    return value
