"""Manifests in files, with the line of every field: a refusal that names a line is mended in half the time."""

from __future__ import annotations

import difflib
import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from allod.cli import duplicates
from allod.cli.finding import Finding
from allod.cli.source import Source, sources
from allod.cli.stream import nodes
from allod.domain.names import GROUP
from allod.domain.quantity import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KIND = "ModelDeployment"
MOST_VALUES = 100_000
"""Of one manifest; the API server takes 3 MiB of request."""
MOST_KINDS = 5
"""Named in the note about what was not looked at."""


@dataclass(frozen=True, slots=True)
class Document:
    """One manifest of our group."""

    file: str
    raw: dict[str, Any]
    node: yaml.Node
    before: int = 0
    """Lines of the file before the text that the node was read from."""

    def line(self, path: str) -> int:
        """Where a field stands, from 1: `spec.engine.env[0].name`. A field that is missing: where it would have to stand."""
        node, at = self.node, self.node.start_mark.line
        for step in re.findall(r"[^.\[\]]+", path):
            found = _child(node, step)
            if found is None:
                break
            at, node = found
        return self.before + at + 1


@dataclass(slots=True)
class Reading:
    """What the files hold."""

    documents: list[Document] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    """Their names in findings, in the order in which they were read."""
    _others: list[tuple[int, str]] = field(default_factory=list)
    """Line and kind of each object of other groups in the file at hand."""

    def add(self, found: Source | Finding) -> None:
        """Take in one file, or why there is none."""
        self.files.append(found.file)
        if isinstance(found, Finding):
            self.findings.append(found)
            return
        self._others = []
        for part in nodes(found):
            if isinstance(part, Finding):
                self.findings.append(part)
            else:
                self._object(found.file, *part)
        if self._others:
            self.findings.append(Finding(found.file, self._others[0][0], "note", "ignored", _not_ours([kind for _, kind in self._others])))

    def _object(self, file: str, before: int, node: yaml.Node, of: yaml.Node | None = None) -> None:
        """One document, or one item of the List `of`."""
        line = before + node.start_mark.line + 1
        if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"):
            return
        if not isinstance(node, yaml.MappingNode):
            told = "a manifest is a map with apiVersion, kind, metadata and spec"
            self.findings.append(Finding(file, line, "error", "yaml", told))
        elif of is not None and _is_list(node):
            self.findings.append(Finding(file, line, "error", "yaml", "a List stands in a List: put its items into the outer one"))
        elif _is_list(node):
            self._list(file, before, node)
        elif _is_ours(node) or (of and _is_ours(of) and not _texts(node, "apiVersion", "kind")):
            self._ours(file, before, node, of)
        else:
            self._others.append((line, next(iter(_texts(node, "kind")), "an object without a kind")))

    def _list(self, file: str, before: int, node: yaml.MappingNode) -> None:
        """The items count as if they stood alone, as with kubectl."""
        for path, first, again in duplicates.own(node):
            told = f"{path} is written twice, first on line {before + first + 1}: keep one of them"
            self.findings.append(Finding(file, before + again + 1, "error", "duplicate-key", told))
        found = _child(node, "items")
        items = found[1] if found else None
        if isinstance(items, yaml.SequenceNode):
            for item in items.value:
                self._object(file, before, item, node)
        elif items is None or not items.tag.endswith(":null"):
            line = before + (found[0] if found else node.start_mark.line) + 1
            self.findings.append(Finding(file, line, "error", "yaml", "a List has its manifests in items, as a list"))

    def _ours(self, file: str, before: int, node: yaml.MappingNode, of: yaml.Node | None) -> None:
        try:
            twice = [Finding(file, line, "error", "duplicate-key", told) for line, told in duplicates.duplicates(node, before)]
            raw = None if twice else _value(node)  # nobody knows which of the two is meant
        except (yaml.YAMLError, RecursionError) as error:
            mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
            line = before + (mark or node.start_mark).line + 1
            self.findings.append(Finding(file, line, "error", "yaml", f"this is not YAML: {_why(error)}"))
            return
        self.findings += twice
        if raw is not None:
            self.documents.append(Document(file, _inherited(of) | raw, node, before))


def read(files: Iterable[str], *, recursive: bool = False) -> Reading:
    """All manifests of our group, and everything about the files themselves that a person should know. `-` is standard input."""
    reading = Reading()
    for found in sources(files, recursive=recursive):
        reading.add(found)
    return reading


def _why(error: yaml.YAMLError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "an alias stands inside the anchor that it names, or values are nested too deep"
    return (isinstance(error, yaml.MarkedYAMLError) and error.problem) or str(error)


def _texts(node: yaml.Node | None, *keys: str) -> list[str]:
    """What stands under these keys."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return [value.value for key, value in pairs if key.value in keys and isinstance(value, yaml.ScalarNode)]


def _is_ours(node: yaml.Node) -> bool:
    """By its group; a ModelDeployment of none, or of one that differs by a slip of the pen, is meant to be ours."""
    groups = [text.partition("/")[0] for text in _texts(node, "apiVersion")]
    meant = KIND in _texts(node, "kind") and (not groups or bool(difflib.get_close_matches(groups[0], [GROUP])))
    return GROUP in groups or meant


def _is_list(node: yaml.Node) -> bool:
    """A `v1 List`, as kubectl writes it, or the typed list of any kind."""
    kinds = _texts(node, "kind")
    return any(kind.endswith("List") for kind in kinds) and (_child(node, "items") is not None or "List" in kinds)


def _inherited(of: yaml.Node | None) -> dict[str, str]:
    """An item of a typed list may leave out what the list says, as in an answer of the API server."""
    kind, version = next(iter(_texts(of, "kind")), ""), next(iter(_texts(of, "apiVersion")), "")
    return {"apiVersion": version, "kind": kind.removesuffix("List")} if kind != "List" and kind else {}


def _not_ours(kinds: list[str]) -> str:
    different = list(dict.fromkeys(kinds))
    more = f" and {len(different) - MOST_KINDS} more" if len(different) > MOST_KINDS else ""
    were = "was" if len(kinds) == 1 else "were"
    return f"{count(len(kinds), 'object')} of no kind of {GROUP} {were} not looked at: {', '.join(different[:MOST_KINDS])}{more}"


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
