from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "reference" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_committed_is_what_the_models_say(generate: ModuleType) -> None:
    assert generate.main(["--check"]) == 0


def test_the_check_finds_a_changed_a_missing_and_a_left_over_file(
    generate: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate.main([], tmp_path) == 0
    assert generate.main(["--check"], tmp_path) == 0
    (tmp_path / "crds" / "allod.dev_modeldeployments.yaml").write_text("edited by hand", encoding="utf-8")
    (tmp_path / "docs" / "reference" / "modeldeployment.md").unlink()
    (tmp_path / "crds" / "allod.dev_gone.yaml").write_text("a kind that is gone", encoding="utf-8")
    capsys.readouterr()
    assert generate.main(["--check"], tmp_path) == 1
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "crds/allod.dev_gone.yaml",
        "crds/allod.dev_modeldeployments.yaml",
        "docs/reference/modeldeployment.md",
    ]
    assert generate.main([], tmp_path) == 0
    assert generate.main(["--check"], tmp_path) == 0


def test_every_section_that_the_reference_links_to_is_there(generate: ModuleType) -> None:
    page = generate.files()["docs/reference/modeldeployment.md"]
    headings = {generate.anchor(line.removeprefix("## ").strip("`")) for line in page.splitlines() if line.startswith("## ")}
    links = {part.partition(")")[0] for part in page.split("](#")[1:]}
    assert links <= headings
