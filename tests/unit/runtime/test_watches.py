from __future__ import annotations

import asyncio
import gc
import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from allod.adapters.login import Credentials
from allod.adapters.resources import OPTIONAL, REQUIRED
from allod.runtime.watches import Patience, Watches, build_registry, operator_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import kopf

KINDS = (*REQUIRED, *OPTIONAL)


async def nobody() -> Credentials:
    raise AssertionError("nobody logs in here")


def registry() -> kopf.OperatorRegistry:
    return build_registry(KINDS, nobody, lambda _of, _how, _manifest: None)


def test_kopf_has_one_event_handler_for_each_kind_and_nothing_else() -> None:
    built = registry()
    assert sorted(each.id for each in built._watching.get_all_handlers()) == sorted(each.plural for each in KINDS)  # noqa: SLF001  # no public way to ask
    for kind in (built._changing, built._spawning, built._indexing, built._webhooks):  # noqa: SLF001  # no public way to ask
        assert kind.get_all_handlers() == []


def test_kopf_logs_in_the_way_that_we_do_and_in_no_other() -> None:
    handlers = registry()._activities.get_all_handlers()  # noqa: SLF001  # no public way to ask
    assert [each.id for each in handlers] == ["login"]


def test_each_handler_watches_its_kind_in_its_group_and_version() -> None:
    selectors = [each.selector for each in registry()._watching.get_all_handlers()]  # noqa: SLF001  # no public way to ask
    watched = {(each.group, each.version, each.any_name) for each in selectors if each is not None}
    assert watched == {(each.group, each.version, each.plural) for each in KINDS}


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("scanning.disabled", True),
        ("posting.enabled", False),
        ("peering.standalone", True),
        ("persistence.finalizer", "allod.dev/finalizer"),
        ("process.ultimate_exiting_timeout", None),
        ("watching.chunk_size", 500),
    ],
)
def test_everything_of_kopf_that_is_no_watch_is_off(what: str, value: object) -> None:
    group, _, name = what.partition(".")
    assert getattr(getattr(operator_settings(KINDS), group), name) == value


def test_only_our_own_objects_are_watched() -> None:
    selectors = operator_settings(KINDS).watching.label_selectors
    assert set(selectors.values()) == {"app.kubernetes.io/managed-by=allod"}
    assert len(selectors) == sum(bool(each.labels) for each in KINDS)


def test_kopf_never_gives_the_api_server_up() -> None:
    delays = list(itertools.islice(Patience(), 1000))
    assert delays[0] < 1
    assert max(delays) == delays[-1] == 3
    assert list(itertools.islice(Patience(), 2)) == delays[:2]


@asynccontextmanager
async def stalling() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """An API server that begins each answer and never ends it: its address, and whether somebody reads."""
    asked, over = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b"{")
        asked.set()
        await over.wait()
        return response

    application = web.Application()
    application.router.add_get("/{any:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0]
        yield f"http://{host}:{port}", asked
    finally:
        over.set()
        await runner.cleanup()


@pytest.mark.asyncio(loop_scope="function")
async def test_watches_that_end_while_an_answer_comes_in_end_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    async with stalling() as (server, asked):

        async def anybody() -> Credentials:
            return Credentials(server, ca_path=None, verify=False, certificate_path=None, private_key_path=None, token=None)

        watching = asyncio.create_task(Watches(KINDS, (), anybody, lambda _of, _how, _manifest: None).run())
        await asked.wait()
        await asyncio.sleep(0.05)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []
