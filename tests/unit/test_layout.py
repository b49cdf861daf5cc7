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


def test_no_module_beside_a_program_that_is_run_as_a_folder_hides_one_of_the_standard_library() -> None:
    """`python3 FOLDER` puts the folder in front of sys.path, and Python imports modules of its own before __main__.py takes it away."""
    folders = [path.parent for path in tracked("*__main__.py") if "if not __package__" in path.read_text()]
    assert {str(folder.relative_to(ROOT)) for folder in folders} == {"tests/box", "tests/box/image"}
    assert [str(path) for folder in folders for path in folder.iterdir() if path.stem in sys.stdlib_module_names] == []


def test_no_python_file_is_too_long_to_be_one_noun() -> None:
    assert [str(path) for path in tracked("*.py") if len(path.read_text().splitlines()) > LONGEST] == []


def test_no_function_is_too_long_to_be_read_at_once() -> None:
    functions = [(path, node) for path in tracked("*.py") for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, FUNCTIONS)]
    lines = {f"{path}: {node.name}": (node.end_lineno or 0) - node.lineno + 1 for path, node in functions}
    assert {name: length for name, length in lines.items() if length > LONGEST_FUNCTION} == {}


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "manager", "misc"])
def test_no_module_is_a_drawer_for_anything(name: str) -> None:
    assert [str(path) for path in tracked("*.py") if path.stem == name] == []
