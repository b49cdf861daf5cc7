"""`python -m unit.engine.served PORT`: the real watchdog in vLLM's kind of server, around an engine that hangs when it is told to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import uvicorn

from unit.engine.fake import Engine, whole_body
from watchdog import Watchdog

if TYPE_CHECKING:
    from allod_exchange import Message, Receive, Send


async def hang(engine: Engine, _scope: Message, receive: Receive, send: Send) -> None:
    """The engine makes no step any more, and somebody waits for one."""
    await whole_body(receive)
    engine.running.clear()
    await engine.step()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def heal(engine: Engine, _scope: Message, receive: Receive, send: Send) -> None:
    await whole_body(receive)
    engine.running.set()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def main() -> None:
    engine = Engine()
    engine.handlers |= {"/v1/hang": hang, "/v1/heal": heal}
    uvicorn.run(Watchdog(engine.app), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")


if __name__ == "__main__":
    main()
