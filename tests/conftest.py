from __future__ import annotations

import asyncio

import pytest

from support import termination
from support.golden import Golden

SLOW = {
    "test_operator_failures.py",
    "test_chart_rights.py",
    "test_prometheus.py",
    "test_operator_dies.py",
    "test_fault_meetings.py",
    "test_fault_pods.py",
    "test_nodes.py",
}
"""Files of minutes: they go first, so that of two processes neither is left alone with one in the end."""


def pytest_configure() -> None:
    # pytest-asyncio asks for the thread's loop, to put it back afterwards. Python 3.11 makes one for who asks, and nobody would close it:
    # a warning, in whatever test the garbage is collected. Saying that there is none keeps it from being made.
    asyncio.set_event_loop(None)
    # CI cancels by SIGTERM: fixtures must end what they started, boxes and engines, in the processes of pytest-xdist as well.
    termination.as_interrupt()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in SLOW)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what is rendered now to tests/golden instead of comparing with it")


@pytest.fixture(scope="session")
def golden(pytestconfig: pytest.Config) -> Golden:
    return Golden(update=pytestconfig.getoption("--update-golden"))
