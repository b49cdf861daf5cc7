from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.promtool import Promtool

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def promtool(tmp_path: Path) -> Promtool:
    return Promtool(tmp_path)
