"""When a product is out of date: one hash over everything that decides what comes out."""

from __future__ import annotations

import ast
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


def digest(root: Path, inputs: Iterable[str], read: Callable[[Path], bytes]) -> str:
    """One hash over names, contents and executable bits; a symbolic link counts as what it points to."""
    total = hashlib.sha256()
    for name in inputs:
        for path in _files(root / name):
            mode = "x" if path.stat().st_mode & 0o100 else "-"
            total.update(f"{path.relative_to(root)} {mode} {hashlib.sha256(read(path)).hexdigest()}\n".encode())
    return total.hexdigest()


def meaning(module: Path) -> bytes:
    """A Python module without its comments, docstrings and format: an edit of those rebuilds nothing."""
    tree = ast.parse(module.read_bytes())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):  # a lambda's body is one expression
            body[:] = [part for part in body if not _is_docstring(part)] or [ast.Pass()]
    return ast.unparse(tree).encode()  # the same text with every version of Python, unlike ast.dump


def _is_docstring(statement: ast.stmt) -> bool:
    """Also the docstring of an attribute: a text that stands alone does nothing."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(found for found in path.rglob("*") if found.is_file() and "__pycache__" not in found.parts)
