from __future__ import annotations

import asyncio

import pytest

from support import termination
from support.golden import Golden


def pytest_configure() -> None:
    # pytest-asyncio asks for the thread's loop, to put it back afterwards. Python 3.11 makes one for who asks, and nobody would close it:
    # a warning, in whatever test the garbage is collected. Saying that there is none keeps it from being made.
    asyncio.set_event_loop(None)
    # CI cancels by SIGTERM: fixtures must end what they started, boxes and engines, in the processes of pytest-xdist as well.
    termination.as_interrupt()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what is rendered now to tests/golden instead of comparing with it")


@pytest.fixture(scope="session")
def golden(pytestconfig: pytest.Config) -> Golden:
    return Golden(update=pytestconfig.getoption("--update-golden"))
