from __future__ import annotations

import gzip
import socket
from contextlib import asynccontextmanager, suppress
from math import isfinite
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

import watchdog
from allod.adapters import engine
from allod.adapters.engine import LARGEST_PAGE, EnginePages, cache_figures, reading
from allod.adapters.errors import Unavailable
from allod.domain.serving.engine.metrics import COUNTERS, HISTOGRAMS, KV_USAGE, START, WAITING
from allod.domain.serving.health.windows import Track, window
from allod.domain.serving.seen import EngineFigures

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

LINE = (
    'vllm:cache_config_info{block_size="128",cache_dtype="auto",engine="0",kv_cache_dtype_skip_layers="[]",'
    'kv_cache_max_concurrency="5.6875",kv_cache_memory_bytes="1073741824",kv_cache_size_tokens="46592",num_gpu_blocks="364"} 1.0\n'
)
"""Of vLLM 0.32, shortened."""
PAGE = f"# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig\n# TYPE vllm:cache_config_info gauge\n{LINE}"


@pytest.mark.parametrize(
    ("page", "figures"),
    [
        (PAGE, EngineFigures(46592, 5.6875)),
        (PAGE + LINE.replace('engine="0"', 'engine="1"'), EngineFigures(93184, 11.375)),
        (PAGE.replace('"46592"', '"None"'), None),
        (PAGE.replace("kv_cache_size_tokens", "other"), None),
        ("# TYPE llamacpp:requests_processing gauge\nllamacpp:requests_processing 0\n", None),
        ("", None),
        ('vllm:cache_config_info{broken="', None),
        (PAGE.replace('"auto"', '"\udcff"'), EngineFigures(46592, 5.6875)),
        (PAGE.replace('"46592"', '"-46592"'), None),
        (PAGE.replace('"46592"', f'"{2**53}"'), None),
        (PAGE.replace('"46592"', f'"{"9" * 5000}"'), None),
        (PAGE.replace('"5.6875"', '"inf"'), None),
        (PAGE.replace('"5.6875"', '"nan"'), None),
        (PAGE.replace('"5.6875"', '"-1"'), None),
        (PAGE.replace('"auto"', f'"{"a" * 100_000}"'), None),
    ],
    ids=[
        "one engine",
        "data parallel",
        "not known",
        "an older engine",
        "llama.cpp",
        "nothing",
        "cut off",
        "no UTF-8",
        "fewer than none",
        "more than JSON can say",
        "more than Python reads",
        "no end of requests",
        "no number of requests",
        "fewer requests than none",
        "a line without an end",
    ],
)
def test_the_figures_of_a_metrics_page(page: str, figures: EngineFigures | None) -> None:
    assert cache_figures(page.encode(errors="surrogateescape")) == figures


VALUES = st.one_of(
    st.floats().map(str),
    st.sampled_from(("1e308", "-1e308", "1e999", "NaN", "-1", "9007199254740993", "0x10", "1_0", "", "7 7 7")),
)
LABELS = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        (
            b'method="POST",handler="/v1/x",status="2xx"',
            b'method="POST",handler="none",status="5xx"',
            b'le="+Inf"',
            b'le="-1e308"',
            b'le="NaN"',
            b'finished_reason="error"',
            b'kv_cache_size_tokens="1",kv_cache_max_concurrency="1"',
            b'kv_cache_size_tokens="-9",kv_cache_max_concurrency="1e400"',
            b'kv_cache_size_tokens="\xff"',
        )
    ),
)
NAMES = sorted(
    {lines.name for lines in COUNTERS.values()}
    | {f"{name}_bucket" for names in HISTOGRAMS.values() for name in names}
    | {WAITING, START, *KV_USAGE, "vllm:cache_config_info"}
)
SAMPLES = st.builds(lambda *parts: b"%s{%s} %s" % parts, st.sampled_from(NAMES).map(str.encode), LABELS, VALUES.map(str.encode))
PAGES = st.lists(st.one_of(SAMPLES, st.binary(max_size=60)), max_size=20).map(b"\n".join)


@given(st.lists(PAGES, min_size=2, max_size=4))
def test_whatever_a_page_holds_it_can_be_summed_up_and_told(pages: list[bytes]) -> None:
    track = Track()
    for at, page in enumerate(pages):
        figures = cache_figures(page)
        assert figures is None or (0 < figures.kv_cache_tokens < 2**53 and 0 <= figures.max_concurrency < 2**53)
        found = reading(page, tuple(HISTOGRAMS))
        assert found.waiting >= 0
        assert 0 <= found.kv_usage <= 1
        track = track.heard(float(at), found, 60)
    summed = window((track, track), 60, float(len(pages)))
    assert 0 <= summed.errors <= summed.requests
    assert all(isfinite(number) for number in (summed.error_ratio, summed.kv_usage, *track.samples[-1].counts.numbers.values()))
    for times in summed.times.values():
        times.quantile(0.9)


def test_nothing_is_counted_less_than_never() -> None:
    assert reading(b"allod_watchdog_broken_streams_total{} -1.0\n", ()).counts.numbers["broken"] == 0


HOSTILE = {
    "one word without an end": b"a" * LARGEST_PAGE,
    "a line that describes the cache for ever": b"vllm:cache_config_info{" + b"a" * (LARGEST_PAGE - 100) + b"}",
    "a label without an end": b"vllm:cache_config_info{" + b'a="' * 5000 + b"}",
    "spaces without an end": WAITING.encode() + b" " * (LARGEST_PAGE - 100),
    "braces without an end": WAITING.encode() + b"{" + b"}" * (LARGEST_PAGE - 100),
    "the labels of one sample": b"http_requests_total{" + b"a" * (LARGEST_PAGE - 100) + b"} 1",
}


@pytest.mark.parametrize("page", HOSTILE.values(), ids=HOSTILE)
def test_no_page_keeps_the_operator_from_its_other_work(page: bytes) -> None:
    """Each of them takes 0.05 s at most. With an expression that goes over the text once for each of its letters it would be hours."""
    begun = process_time()
    assert cache_figures(page) is None
    assert reading(page, tuple(HISTOGRAMS)).counts.numbers["answered"] == 0
    assert process_time() - begun < 2


@pytest.fixture
async def pages() -> AsyncIterator[EnginePages]:
    opened = EnginePages()
    yield opened
    await opened.close()


@asynccontextmanager
async def served(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[int]:
    """An engine that answers so. Yields its port."""
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def _endless(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    with suppress(ConnectionError):  # we hang up
        while True:
            await answer.write(b"n 1\n" * 10_000)
    return answer


async def _elsewhere(request: web.Request) -> web.Response:
    if request.path == "/metrics":
        raise web.HTTPFound("/other")
    return web.Response(text=PAGE)


PACKED = gzip.compress(b"\n" * 8 * 2**20)


async def _packed(_: web.Request) -> web.Response:
    return web.Response(body=PACKED, headers={"content-encoding": "gzip"})


@pytest.mark.parametrize(
    ("answer", "why"),
    [(_endless, "more than 4194304 bytes"), (_elsewhere, "status 302"), (_packed, "packed as gzip")],
    ids=["without an end", "elsewhere", "packed"],
)
async def test_a_page_that_is_no_page_is_unavailable(
    pages: EnginePages, answer: Callable[[web.Request], Awaitable[web.StreamResponse]], why: str
) -> None:
    async with served(answer) as port:
        with pytest.raises(Unavailable, match=why):
            await pages.figures("127.0.0.1", port)
        with pytest.raises(Unavailable, match=why):
            await pages.reading("127.0.0.1", port, ())


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """An engine that serves its metrics."""
    app = web.Application()
    app.router.add_get("/metrics", _metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(text=PAGE)


async def test_figures_are_read_from_an_engine(pages: EnginePages, port: int) -> None:
    assert await pages.figures("127.0.0.1", port) == EngineFigures(46592, 5.6875)


async def test_an_engine_that_is_not_there_is_unavailable(pages: EnginePages) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    with pytest.raises(Unavailable, match=r"metrics of the engine at 127\.0\.0\.1"):
        await pages.figures("127.0.0.1", free)


REAL = (Path(__file__).parent / "pages" / "vllm-0.32.0.txt").read_bytes()


def test_the_counters_of_a_real_page() -> None:
    """13 chats; the other requests of that server were for no model."""
    found = reading(REAL, ("TTFTSeconds", "EndToEndSeconds", "InterTokenSeconds"))
    assert found.counts.numbers == {"answered": 13, "failed": 0, "refused": 0, "broken": 0, "own_answered": 0, "own_failed": 0}
    assert {metric: times.total for metric, times in found.counts.times.items()} == {
        "TTFTSeconds": 13,
        "EndToEndSeconds": 13,
        "InterTokenSeconds": 1433,
    }
    assert found.counts.times["TTFTSeconds"].quantile(0.5) == pytest.approx(1.675)
    assert (found.started, found.waiting, found.kv_usage) == (1795300884.83, 0, 0)


FAILING = """
http_requests_total{handler="/v1/chat/completions",method="POST",status="2xx"} 100
http_requests_total{handler="/v1/chat/completions",method="POST",status="4xx"} 50
http_requests_total{handler="/v1/chat/completions",method="POST",status="5xx"} 20
http_requests_total{handler="/v2/embed",method="POST",status="2xx"} 3
http_requests_total{handler="none",method="POST",status="5xx"} 4
http_requests_total{handler="/v1/models",method="GET",status="2xx"} 1000
http_requests_total{handler="/tokenize",method="POST",status="2xx"} 1000
vllm:admission_rejections_total{model_name="smol",reason="max_num_queued_reqs"} 5
vllm:admission_rejections_total{model_name="smol",reason="max_num_queued_tokens"} 6
vllm:request_success_total{engine="0",finished_reason="stop",model_name="smol"} 90
vllm:request_success_total{engine="0",finished_reason="error",model_name="smol"} 7
allod_watchdog_broken_streams_total 15
allod_watchdog_self_requests_total{result="answered"} 30
allod_watchdog_self_requests_total{result="refused"} 40
allod_watchdog_self_requests_total{result="failed"} 1
allod_watchdog_self_requests_total{result="lost"} 2
vllm:num_requests_waiting{engine="0"} 2
vllm:num_requests_waiting{engine="1"} 3
vllm:gpu_cache_usage_perc{engine="0"} 0.25
vllm:gpu_cache_usage_perc{engine="1"} 0.5
vllm:time_per_output_token_seconds_bucket{le="+Inf"} 9
"""


def test_the_counters_of_a_page_with_everything_on_it() -> None:
    found = reading(FAILING.encode(), ("TTFTSeconds", "InterTokenSeconds"))
    assert found.counts.numbers == {"answered": 103, "failed": 24, "refused": 11, "broken": 15, "own_answered": 30, "own_failed": 3}
    assert {metric: times.total for metric, times in found.counts.times.items()} == {"InterTokenSeconds": 9}
    assert (found.started, found.waiting, found.kv_usage) == (None, 5, 0.5)


def test_the_watchdog_names_its_self_requests_as_they_are_looked_for() -> None:
    for name in ("own_answered", "own_failed"):
        lines = COUNTERS[name]
        for result in ("answered", "refused", "failed", "lost"):
            watchdog.ASKED.labels(result)
        found = {sample.labels["result"] for metric in watchdog.ASKED.collect() for sample in metric.samples if sample.name == lines.name}
        assert found == {"answered", "refused", "failed", "lost"}


async def test_counters_are_read_from_an_engine(pages: EnginePages, port: int) -> None:
    assert (await pages.reading("127.0.0.1", port, ())).counts.numbers["answered"] == 0


async def test_an_engine_without_a_page_has_no_counters(pages: EnginePages) -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    with pytest.raises(Unavailable, match=r"metrics of the engine at 127\.0\.0\.1: status 404"):
        await pages.reading("127.0.0.1", runner.addresses[0][1], ())
    assert await pages.figures("127.0.0.1", runner.addresses[0][1]) is None
    await runner.cleanup()


async def test_an_engine_that_does_not_answer_is_not_waited_for(pages: EnginePages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SOON", aiohttp.ClientTimeout(total=0.05))
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unavailable, match=r"metrics of the engine at .*: .*Timeout"):
        await pages.reading("127.0.0.1", silent.getsockname()[1], ())
