from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

import watchdog
from allod.adapters import engine
from allod.adapters.engine import EnginePages, cache_figures, reading
from allod.adapters.errors import Unavailable
from allod.domain.serving.engine.metrics import COUNTERS
from allod.domain.serving.seen import EngineFigures

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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
    ],
    ids=["one engine", "data parallel", "not known", "an older engine", "llama.cpp", "nothing", "cut off"],
)
def test_the_figures_of_a_metrics_page(page: str, figures: EngineFigures | None) -> None:
    assert cache_figures(page.encode()) == figures


@pytest.fixture
async def pages() -> AsyncIterator[EnginePages]:
    opened = EnginePages()
    yield opened
    await opened.close()


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
vllm:request_success_total{engine="1",finished_reason="error",model_name="smol"} 8
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
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unavailable, match="metrics of the engine"):
        await pages.reading("127.0.0.1", silent.getsockname()[1], ())
