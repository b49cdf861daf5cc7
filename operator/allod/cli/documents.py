"""Manifests in files, with the line of every field: a refusal that names a line is mended in half the time."""

from __future__ import annotations

import itertools
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from allod.cli.errors import UsageError
from allod.cli.finding import Finding
from allod.domain.names import GROUP, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KIND = "ModelDeployment"
MOST_VALUES = 100_000
"""In one file; the API server takes 3 MiB of request."""


@dataclass(frozen=True, slots=True)
class Document:
    """One ModelDeployment of one file."""

    file: str
    raw: dict[str, Any]
    node: yaml.Node

    def line(self, path: str) -> int:
        """Where a field stands, from 1: `spec.engine.env[0].name`. A field that is missing: where it would have to stand."""
        node, at = self.node, self.node.start_mark.line
        for step in re.findall(r"[^.\[\]]+", path):
            found = _child(node, step)
            if found is None:
                break
            at, node = found
        return at + 1


def read(files: Iterable[str]) -> tuple[list[Document], list[Finding]]:
    """All ModelDeployments, and what else the files hold as notes; `-` is standard input. Raises UsageError for an unreadable file."""
    documents: list[Document] = []
    findings: list[Finding] = []
    for file in files:
        for part in _parts(file):
            (documents if isinstance(part, Document) else findings).append(part)  # type: ignore[arg-type]  # the condition tells them apart
    return documents, findings


def _parts(file: str) -> Iterator[Document | Finding]:
    try:
        for node in yaml.compose_all(_text(file), yaml.SafeLoader):
            if node is not None and (part := _part(file, node)):
                yield part
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        yield Finding(file, line, "error", "yaml", f"this is not YAML: {error.problem or error}")
    except (yaml.YAMLError, RecursionError) as error:
        yield Finding(file, 1, "error", "yaml", f"this is not YAML: {error}")


def _part(file: str, node: yaml.Node) -> Document | Finding | None:
    line = node.start_mark.line + 1
    raw = _value(node)
    if raw is None:
        return None
    if not isinstance(raw, dict):
        return Finding(file, line, "error", "yaml", "a manifest is a map with apiVersion, kind, metadata and spec")
    if str(raw.get("apiVersion", "")).partition("/")[0] != GROUP:
        return Finding(file, line, "note", "ignored", f"{raw.get('kind', 'an object')} is no kind of {GROUP}/{VERSION}: not looked at")
    return Document(file, raw, node)


def _text(file: str) -> str:
    if file == "-":
        return sys.stdin.read()
    try:
        return Path(file).read_text("utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not text in UTF-8") from error


def _value(node: yaml.Node) -> Any:
    """The node as plain values, with YAML's own rules for numbers and words."""
    constructor = yaml.constructor.SafeConstructor()
    return _json(constructor.construct_document(node), itertools.count())


def _json(value: Any, counted: Iterator[int]) -> Any:
    """What kubectl would send: every key a string, dates as they are written. Anchors multiply: `counted` ends a bomb of them."""
    if next(counted) > MOST_VALUES:
        raise yaml.YAMLError(f"it holds more than {MOST_VALUES} values")
    if isinstance(value, dict):
        return {str(key): _json(part, counted) for key, part in value.items()}
    if isinstance(value, list):
        return [_json(part, counted) for part in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def _child(node: yaml.Node, step: str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark.line, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
        item = node.value[int(step)]
        return item.start_mark.line, item
    return None
