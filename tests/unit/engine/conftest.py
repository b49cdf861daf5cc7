from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from unit.engine.fake import Client, Engine, Metric, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A threshold of ten (simulated) seconds. The watchdog hangs itself before SIGTERM's handler, which must not outlive a test."""
    monkeypatch.setenv("ALLOD_HANG_SECONDS", "10")
    monkeypatch.setenv("ALLOD_MODEL", "chat")
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A server whose engine has made its first step."""
    async with serving(Engine()) as client:
        await client.until_ready()
        yield client


@pytest.fixture
def metric() -> Metric:
    return Metric()
