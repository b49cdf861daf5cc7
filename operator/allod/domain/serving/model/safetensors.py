"""The header of a safetensors file: 8 bytes of length, then JSON with every tensor's dtype, shape and place."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from allod.domain.quantity import count
from allod.domain.serving.model.architecture import UnreadableError, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = 8
"""Bytes that hold the length of the header, little-endian."""
LARGEST_HEADER = 32 * 2**20
"""The format allows 100 MB; a shard of DeepSeek-V3 has 0.2 MiB. Parsed JSON takes some ten times its text in memory."""
PLAIN = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Bytes of the types that an engine converts while loading; all others stay as they are."""


def header_length(prefix: bytes, file_size: int) -> int:
    """Bytes of JSON that follow the prefix. Raises UnreadableError when the file cannot hold them."""
    length = int.from_bytes(prefix, "little")
    if len(prefix) != PREFIX or not 1 < length <= min(LARGEST_HEADER, file_size - PREFIX):
        raise UnreadableError(f"its header claims {length} bytes of {file_size}: this is no safetensors file, or a part of it is missing")
    return length


def weights(header: bytes, file_size: int) -> Weights:
    """Count what one file holds. Raises UnreadableError when the tensors do not fit into the file."""
    try:
        tensors = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"its header is not JSON: {str(error)[:80]}") from error
    if not isinstance(tensors, dict):
        raise UnreadableError("its header is not a JSON object")
    total = Weights(0, 0)
    for name, tensor in tensors.items():
        if name != "__metadata__":
            total += _tensor(name, tensor)
    if total.stored > file_size - PREFIX - len(header):
        missing = total.stored - (file_size - PREFIX - len(header))
        raise UnreadableError(f"it lacks {count(missing, 'byte')} of its tensors: the file was not copied whole")
    return total


def _tensor(name: str, tensor: Any) -> Weights:
    match tensor:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(begin), int(end)]} if 0 <= begin <= end:
            if not all(isinstance(side, int) and 0 <= side < 2**48 for side in shape):
                raise UnreadableError(f"tensor {name[:80]} has an impossible shape")
            parameters = math.prod(shape)
            plain = dtype in PLAIN
            stored = end - begin
            if plain and stored != parameters * PLAIN[dtype]:
                raise UnreadableError(f"tensor {name[:80]} does not have the size of its shape")
            return Weights(stored, parameters, parameters if plain else 0, stored if plain else 0)
    raise UnreadableError(f"tensor {name[:80]} has no dtype, shape and offsets")


def shards(index: Mapping[str, Any]) -> tuple[str, ...]:
    """Files that `model.safetensors.index.json` names, each once. Raises UnreadableError for a name that leaves the folder."""
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UnreadableError("model.safetensors.index.json has no weight_map")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if "/" in name or name in {"", ".", ".."} or "\0" in name:
            raise UnreadableError(f"model.safetensors.index.json names {name[:80]!r}, which is no file beside it")
    return tuple(names)
