"""What is downloaded already, and where vLLM was told to look for it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

WEIGHTS: Final = (".safetensors", ".bin", ".pt", ".gguf")
"""As vLLM prefers them."""


def are_there(repository: str, revision: str, command: Sequence[str]) -> bool:
    """Whether an earlier start of this pod, or another pod that writes to the same volume, has downloaded all."""
    home = Path(os.environ.get("HF_HOME", ""))
    cache = Path(os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or home / "hub")
    config, weights = (snapshot(Path(folder), repository, revision) for folder in (cache, value(command, "download-dir") or cache))
    needed = {name for index in weights.glob("*.index.json") for name in json.loads(index.read_text())["weight_map"].values()}
    whole = all((weights / name).is_file() for name in needed) if needed else any(file.suffix in WEIGHTS for file in weights.glob("*"))
    return (config / "config.json").is_file() and whole


def snapshot(cache: Path, repository: str, revision: str) -> Path:
    """Where huggingface_hub puts the files."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    branch = folder / "refs" / revision
    return folder / "snapshots" / (branch.read_text() if branch.is_file() else revision)


def value(command: Sequence[str], flag: str) -> str:
    """The last of `--flag=value` and `--flag value`; empty without one. An underscore is a dash to vLLM."""
    found = ""
    for word, after in zip(command, [*command[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name.replace("_", "-") == f"--{flag}":
            found = value if equals else after
    return found
