"""Tiny LoRA adapters as PEFT writes them, made without PEFT: adapter_config.json and adapter_model.safetensors of noise from a seed.

Noise is enough: an adapter that is applied changes what a model says, and another seed changes it otherwise.
"""

from __future__ import annotations

import array
import json
import random
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Base:
    """What of a model an adapter has to fit."""

    name: str
    hidden: int
    heads: int
    key_value_heads: int
    layers: int
    head: int = 64

    def out(self, module: str) -> int:
        """Rows of a projection."""
        return self.head * (self.heads if module == "q_proj" else self.key_value_heads)


SMOLLM2 = Base("HuggingFaceTB/SmolLM2-135M-Instruct", 576, 9, 3, 30)
SMOLLM2_360M = Base("HuggingFaceTB/SmolLM2-360M-Instruct", 960, 15, 5, 32)
"""Another base: what is made for it does not fit the first."""
MODULES = ("q_proj", "v_proj")
STRENGTH = 0.8
"""Of the noise. With half of it one adapter in four let SmolLM2 give the short answer of the tests all the same."""


def lora(folder: Path, *, base: Base = SMOLLM2, rank: int = 8, seed: int = 1) -> Path:
    """An adapter in that folder, which is made; readable for everybody, as engines run as another user."""
    chance, tensors = random.Random(seed), dict[str, tuple[int, int]]()  # noqa: S311  # noise is no secret
    for layer in range(base.layers):
        for module in MODULES:
            at = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            tensors[f"{at}.lora_A.weight"] = (rank, base.hidden)
            tensors[f"{at}.lora_B.weight"] = (base.out(module), rank)
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base.name,
        "r": rank,
        "lora_alpha": rank,
        "target_modules": list(MODULES),
        "bias": "none",
        "inference_mode": True,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2))
    (folder / "adapter_model.safetensors").write_bytes(_safetensors(tensors, chance))
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)
    return folder


def checkpoint(folder: Path, base: Base, dtype: str = "F32") -> Path:
    """A model's file with the layers that adapters change, of noise: enough for who reads shapes."""
    layers = [(layer, module) for layer in range(base.layers) for module in MODULES]
    shapes = {f"model.layers.{layer}.self_attn.{module}.weight": (base.out(module), base.hidden) for layer, module in layers}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(_safetensors(shapes, random.Random(0), dtype))  # noqa: S311  # noise is no secret
    return folder


def _safetensors(shapes: dict[str, tuple[int, int]], chance: random.Random, dtype: str = "F32") -> bytes:
    """Length of the header (8 bytes, little endian), header (JSON), then the numbers: as the format says."""
    header, pieces, at = dict[str, Any](), list[bytes](), 0
    for name, (rows, columns) in shapes.items():
        pieces.append(array.array("f", (STRENGTH * (chance.random() - 0.5) for _ in range(rows * columns))).tobytes())
        header[name] = {"dtype": dtype, "shape": [rows, columns], "data_offsets": [at, at + len(pieces[-1])]}
        at += len(pieces[-1])
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(pieces)
