from __future__ import annotations

import contextlib
import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from allod.adapters.answers import Foreign
from allod.adapters.verdicts import POLLED, PUSHED, WORDS
from allod.domain.serving.health.beat import STATES

LINE = {"ok": True, "fault": "", "inflight": 0, "sinceProgress": 0.12, "steps": 12345}
HUNG = "hung: no engine step for 30 s while a request waits"


@pytest.mark.parametrize(
    ("says", "verdict"),
    [
        ({}, ("Serving", "", None)),
        ({"steps": None, "sinceProgress": None}, ("Serving", "", None)),
        ({"fault": "watchdog: it is blind"}, ("Serving", "watchdog: it is blind", None)),
        ({"ok": False, "fault": HUNG, "inflight": 4}, ("Faulty", HUNG, 4)),
        ({"ok": False, "fault": HUNG, "inflight": "many"}, ("Faulty", HUNG, None)),
        ({"ok": False, "fault": ""}, ("Faulty", "", 0)),
        ({"ok": False, "fault": "draining: told to stop"}, ("Draining", "draining: told to stop", 0)),
        ({"ok": False, "fault": "starting: no step"}, ("Starting", "starting: no step", 0)),
        ({"ok": False, "fault": "a\n\x1b[31mb" + "c" * 1000}, ("Faulty", ("a  [31mb" + "c" * 1000)[:WORDS], 0)),
    ],
)
def test_what_a_line_of_the_watchdog_means(says: dict[str, Any], verdict: tuple[str, str, int | None]) -> None:
    assert PUSHED.says(200, json.dumps(LINE | says).encode()) == verdict


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"7",
        b'"ok"',
        b'{"ok": true',
        b"\xff",
        b"[" * 10000,
        b'{"ok": 1, "fault": ""}',
        b'{"ok": true, "fault": 1}',
    ],
    ids=lambda line: repr(line[:20]),
)
def test_a_line_that_is_no_heartbeat_is_foreign(line: bytes) -> None:
    with pytest.raises(Foreign, match="heartbeat"):
        PUSHED.says(200, line)


@given(
    st.one_of(
        st.binary(),
        st.recursive(st.none() | st.booleans() | st.text(), lambda inner: st.dictionaries(st.sampled_from(["ok", "fault", "x"]), inner)),
    )
)
def test_whatever_a_line_says_it_is_a_verdict_or_foreign(said: object) -> None:
    line = said if isinstance(said, bytes) else json.dumps(said).encode()
    with contextlib.suppress(Foreign):
        assert PUSHED.says(200, line)[0] in STATES


@pytest.mark.parametrize(
    ("status", "page", "verdict"),
    [
        (200, b'{"status":"ok"}', ("Serving", "", None)),
        (503, b'{"error":{"message":"Loading model","code":503}}', ("Starting", "it loads its model", None)),
        (503, b"busy", ("Faulty", "its health page has status 503", None)),
        (500, b"", ("Faulty", "its health page has status 500", None)),
    ],
)
def test_what_the_health_page_of_llama_server_means(status: int, page: bytes, verdict: tuple[str, str, None]) -> None:
    assert POLLED.says(status, page) == verdict
