from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from allod.adapters.engine import EnginePages, cache_figures
from allod.adapters.errors import Unavailable
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
