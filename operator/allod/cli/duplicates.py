"""Keys that stand twice in one mapping. YAML forbids them, parsers take the last one in silence, and what the person meant is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

FORGOTTEN = frozenset({"apiVersion", "kind"})
"""Two of these are two manifests."""


def duplicates(node: yaml.Node, before: int) -> Iterator[tuple[int, str]]:
    """The line of each repetition, from 1, with its sentence. `before`: lines of the file before the node's text."""
    found = [*_below(node, "", set())]
    manifests = [each for each in found if each[0] in FORGOTTEN]
    for path, first, again in manifests[:1] or found:
        advice = "a line --- is missing between two manifests" if manifests else "keep one of them"
        yield before + again + 1, f"{path} is written twice, first on line {before + first + 1}: {advice}"


def own(node: yaml.Node, path: str = "") -> Iterator[tuple[str, int, int]]:
    """Those of the mapping itself: path, line of the key before, and line of this one, from 0."""
    lines: dict[str, int] = {}
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(key, yaml.ScalarNode):
            if key.value in lines:
                yield f"{path}.{key.value}".lstrip("."), lines[key.value], key.start_mark.line
            lines[key.value] = key.start_mark.line


def _below(node: yaml.Node, path: str, seen: set[int]) -> Iterator[tuple[str, int, int]]:
    """Of the mapping and of all that is in it, once each: an anchor may stand in many places, in itself too."""
    if id(node) in seen:
        return
    seen.add(id(node))
    yield from own(node, path)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _below(value, f"{path}.{key.value}".lstrip(".") if isinstance(key, yaml.ScalarNode) else path, seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _below(value, f"{path}[{index}]", seen)
