"""/healthz, /readyz and /metrics. A replica that does not lead is ready too, or a rollout of the operator would wait for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from allod.runtime.metrics import Metrics

    Page = Callable[[web.Request], Awaitable[web.Response]]

PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Server:
    """The pages, as soon as the process runs and before anything else is known."""

    def __init__(self, metrics: Metrics, not_ready: Callable[[], str], remark: Callable[[], str] = str) -> None:
        """`not_ready()` is a sentence that says why we are not ready; empty when we are. `remark()`: what does not work all the same."""
        app = web.Application()
        app.router.add_get("/healthz", _healthz)
        app.router.add_get("/readyz", _readyz(not_ready, remark))
        app.router.add_get("/metrics", _metrics(metrics))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)

    async def start(self, host: str, port: int) -> int:
        """Listen. Returns the port, which the kernel chose if 0 was asked for. OSError when it is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host or None, port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening; requests in flight get a fifth of a second."""
        await self._runner.cleanup()


async def _healthz(_: web.Request) -> web.Response:
    """The process lives as long as its loop turns: whatever else must not end ends the process itself."""
    return web.Response(text="ok\n")


def _readyz(not_ready: Callable[[], str], remark: Callable[[], str]) -> Page:
    async def page(_: web.Request) -> web.Response:
        why = not_ready()
        return web.Response(status=503, text=f"{why}\n") if why else web.Response(text=f"ok\n{remark()}".strip() + "\n")

    return page


def _metrics(metrics: Metrics) -> Page:
    async def page(_: web.Request) -> web.Response:
        return web.Response(body=metrics.page(), headers={"Content-Type": PROMETHEUS_TEXT})

    return page
