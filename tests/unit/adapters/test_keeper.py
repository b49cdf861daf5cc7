from __future__ import annotations

import asyncio

import pytest

from allod.adapters.keeper import LONGEST, adapters_part, adapters_said
from allod.domain.serving.health.beat import AdapterSaid
from unit.adapters.peer import HEAD, chunk, ear, peer, sends

WELL = b'{"ok": true, "fault": "", "inflight": 0, "sinceProgress": 0.12, "steps": %d'
ONE = b', "adapters": {"one": {"version": "a1", "refused": ""}}}'
TWO = b', "adapters": {"one": {"version": "a1", "refused": ""}, "two": {"version": "b1", "refused": "rank 64 > 16"}}}'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (WELL % 1 + b"}", None),
        (WELL % 1 + b', "adapters": {}}', {}),
        (WELL % 1 + ONE, {"one": AdapterSaid("a1", "")}),
        (WELL % 1 + TWO, {"one": AdapterSaid("a1", ""), "two": AdapterSaid("b1", "rank 64 > 16")}),
        (WELL % 1 + b', "adapters": {"one": {"version": "a1", "refused": "a\\nb' + b"c" * 1000 + b'"}}}', "long"),
        (WELL % 1 + b', "adapters": [1]}', None),
        (WELL % 1 + b', "adapters": {"one": 1}}', None),
        (WELL % 1 + b', "adapters": {"one"', None),
        (b'{"ok": false, "fault": "they said \\", \\"adapters\\": {}\\"", "inflight": 0}', None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_the_end_of_a_heartbeat_says(line: bytes, said: object) -> None:
    if said == "long":
        said = {"one": AdapterSaid("a1", ("a b" + "c" * 1000)[:LONGEST])}
    assert adapters_said(adapters_part(line)) == said


async def test_it_is_news_when_it_changes_and_only_then() -> None:
    lines = [chunk(WELL % step + part + b"\n") for step, part in enumerate((ONE, ONE, ONE, TWO, TWO))]
    pieces = [piece for line in lines for piece in (line, 0.05)]
    async with peer(sends(HEAD, *pieces)) as server, ear("127.0.0.1", server.port) as listens:
        await asyncio.sleep(0.6)
        assert listens.heartbeat.beat.adapters == adapters_said(adapters_part(WELL % 1 + TWO))
        assert listens.states == ["Serving", "Serving", "Serving"], "well, and twice of adapters"
