"""Which models are asked about in one question to Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from allod.runtime.measures import Measured, RevisionKey

SHARE = 100
"""Pods of one question. Their answer with all histograms, 1.4 MB, takes 21 ms of the event loop; a heartbeat is due each 50 ms."""


def shares(revisions: Mapping[RevisionKey, Measured]) -> Iterator[list[RevisionKey]]:
    """The revisions in parts of some pods, those of one model together."""
    models: dict[tuple[str, str], list[RevisionKey]] = {}
    for key in revisions:
        models.setdefault(key[:2], []).append(key)
    share: list[RevisionKey] = []
    for keys in models.values():
        if share and _pods(revisions, share) + _pods(revisions, keys) > SHARE:
            yield share
            share = []
        share = share + keys
    if share:
        yield share


def _pods(revisions: Mapping[RevisionKey, Measured], keys: Iterable[RevisionKey]) -> int:
    return sum(len(revisions[key].pods) for key in keys)
