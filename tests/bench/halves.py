"""Loaded by vLLM instead of watchdog.py: requests with the header `x-bare` go past it, so one engine serves both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from watchdog import Watchdog

if TYPE_CHECKING:
    from allod_exchange import App, Message, Receive, Send


class Halves:
    """The application with the watchdog around it, and bare."""

    def __init__(self, app: App) -> None:
        self.bare, self.watched = app, Watchdog(app)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        past = any(name == b"x-bare" for name, _ in scope.get("headers", ()))
        await (self.bare if past else self.watched)(scope, receive, send)
