from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from unit.cli.article import ARTICLE, CONFIG

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command runs, without variables of an operator."""
    monkeypatch.chdir(tmp_path)
    for name in ("ALLOD_VLLM_IMAGE", "ALLOD_VLLM_CPU_IMAGE", "ALLOD_LLAMACPP_IMAGE", "ALLOD_INSPECT_IMAGE", "ALLOD_CLUSTER_DOMAIN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "article.yaml").write_text(ARTICLE)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path
