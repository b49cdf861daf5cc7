"""The few lines of a Prometheus text page that somebody wants.

An engine's page is 60 kB, and there may be a thousand of them each ten seconds: a full parser spends 35 times as long on it
(docs/benchmarks). This one looks for names only; comments, other metrics and lines that are no samples cost nothing and break nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import nan
from typing import TYPE_CHECKING

from allod.adapters.readings import as_buckets
from allod.domain.serving.health.counts import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allod.domain.serving.engine.metrics import Lines
    from allod.domain.serving.health.counts import Buckets

_SAMPLE = re.compile(rb"[ \t]*+(?:\{(.*)\})?[ \t]*+([-+.\w]+)")
"""After the name: labels, and the value. A label's value may hold a brace, so the last one ends them; a time stamp may follow."""
_BOUND = re.compile(rb'(?:^|[,\s])le\s*=\s*"([^"]*)"')
"""In a label's value a quotation mark is escaped, so this cannot be a part of one."""
_LABEL = re.compile(r'\b(\w++)\s*+=\s*+"((?:[^"\\]|\\.)*+)"')
"""Possessive, and from the beginning of words only: a page of one endless word costs no more than another."""

LARGEST = 2**53 - 1
"""Up to here a float counts by ones. Whoever says more, or less than nothing by as much, does not count: sums stay finite."""
LONGEST = 2048
"""Bytes of the labels of one line: an engine's are 100. Longer ones are nobody's, and are not kept."""
FAMILY = b"\n# TYPE "


class Page:
    """A metrics page."""

    def __init__(self, page: bytes) -> None:
        self._text = b"\n" + page

    def samples(self, name: str) -> Iterator[tuple[bytes, float]]:
        """Labels as they are written, and the value, of each sample of this name that can be a count."""
        start, at, end = b"\n" + name.encode(), 0, None
        while (at := self._text.find(start, at, end)) >= 0:
            at += len(start)
            # Another character belongs to a longer name.
            if self._text[at : at + 1] not in b"{ \t":
                continue
            if end is None and (other := self._text.find(FAMILY, at)) >= 0:
                # The format has all lines of a metric in one group: with the type of another one the search is over.
                end = other
            found = _SAMPLE.match(self._text, at)
            if found and len(labels := found[1] or b"") <= LONGEST and abs(value := _number(found[2])) <= LARGEST:
                yield labels, value

    def total(self, lines: Lines) -> float:
        """Sum of all samples whose labels fit; 0 without any."""
        return sum((value for labels, value in self.samples(lines.name) if _fits(lines, labels)), 0.0)

    def values(self, *names: str) -> tuple[float, ...]:
        """All samples of the first of these names that has one."""
        return next((found for name in names if (found := tuple(value for _, value in self.samples(name)))), ())

    def buckets(self, *names: str) -> Buckets:
        """The first of these histograms that is there, summed over all its labels but the bound."""
        return next((found for name in names if (found := self._buckets(name)).bounds), NOTHING)

    def _buckets(self, name: str) -> Buckets:
        counts: dict[float, float] = {}
        for labels, value in self.samples(f"{name}_bucket"):
            bound = _number(found[1]) if (found := _BOUND.search(labels)) else nan
            counts[bound] = counts.get(bound, 0.0) + value
        return as_buckets(counts)


def label_values(labels: bytes) -> dict[str, str]:
    """Labels by name. What is no UTF-8 becomes the mark for it."""
    return dict(_LABEL.findall(labels.decode(errors="replace")))


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return nan


@lru_cache(maxsize=4096)
def _fits(lines: Lines, labels: bytes) -> bool:
    """Engines write the same few labels at each look."""
    written = label_values(labels)
    return all(re.fullmatch(pattern, written.get(name, "")) for name, pattern in lines.labels)
