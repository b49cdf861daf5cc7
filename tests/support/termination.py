"""SIGTERM as Ctrl-C: what was started is ended again."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM came: to this process alone, perhaps, where Ctrl-C reaches the whole group."""


def as_interrupt() -> None:
    """From now on the first SIGTERM of this process raises Terminated in the main thread.

    Further ones do nothing: CI's to the group and make's to its children arrive both, and the second would cut off the end.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, _nothing)
    raise Terminated


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Unlike SIG_IGN, a handler is not inherited by what is started meanwhile."""
