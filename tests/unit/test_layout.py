from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LONGEST = 400
LONGEST_FUNCTION = 40
"""Lines, its head included."""


def tracked(pattern: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [path for line in listed.stdout.splitlines() if (path := ROOT / line).exists() and not path.is_symlink()]


def test_the_source_root_holds_one_package_and_never_shadows_the_standard_library() -> None:
    """An __init__.py in operator/ makes `python -m pytest`, `python -m pip` and every program in this folder die on `import operator`."""
    assert sorted(path.name for path in (ROOT / "operator").iterdir()) == ["allod"]
    assert not (ROOT / "operator.py").exists()
    assert not (ROOT / "operator" / "allod" / "operator.py").exists(), "kopf puts a module's folder on sys.path"
    found = subprocess.run(
        [sys.executable, "-c", "import operator; print(operator.eq)"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr


def test_no_python_file_is_too_long_to_be_one_noun() -> None:
    assert [str(path) for path in tracked("*.py") if len(path.read_text().splitlines()) > LONGEST] == []


def test_no_function_is_too_long_to_be_read_at_once() -> None:
    functions = [(path, node) for path in tracked("*.py") for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, FUNCTIONS)]
    lines = {f"{path}: {node.name}": (node.end_lineno or 0) - node.lineno + 1 for path, node in functions}
    assert {name: length for name, length in lines.items() if length > LONGEST_FUNCTION} == {}


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "manager", "misc"])
def test_no_module_is_a_drawer_for_anything(name: str) -> None:
    assert [str(path) for path in tracked("*.py") if path.stem == name] == []
