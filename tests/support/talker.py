"""A client that talks to a model at a steady rate, to be run in the network of a Pod: whatever becomes of a request, the next one comes.

`python -m support.talker ADDRESS PORT MODEL RATE`: asks for one token, in turns as a whole answer and as a stream, each on a connection of
its own, and prints a JSON line for each request that ended: see `Told`.
"""

from __future__ import annotations

import http.client
import itertools
import json
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import asdict, dataclass

PATIENCE = 15.0
"""Seconds for one request: longer than any fault may last that the operator can end."""
ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Told:
    """One request and its end."""

    began: float
    """Seconds of the machine's monotonic clock."""
    took: float
    """Seconds."""
    stream: bool
    what: str
    """`answered`; else the status of an error, `broken` (an error event in a stream), `cut` (ended in the middle), `refused`, `late`."""
    who: str = ""
    """model (vLLM) or standby (llama.cpp); empty without an answer."""

    @property
    def ended(self) -> float:
        return self.began + self.took


def ask(address: str, port: int, model: str, *, stream: bool) -> tuple[str, str]:
    """What came, and from whom."""
    body = json.dumps({"model": model, "prompt": "1", "max_tokens": 1, "temperature": 0, "stream": stream})
    with closing(http.client.HTTPConnection(address, port, timeout=PATIENCE)) as connection:
        connection.request("POST", "/v1/completions", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        page = answer.read().decode()
    if answer.status != http.HTTPStatus.OK:
        return str(answer.status), ""
    if 'data: {"error"' in page:
        return "broken", ""
    if stream and "data: [DONE]" not in page:
        return "cut", ""
    return ANSWERED, "model" if '"id":"cmpl-' in page else "standby"


def once(address: str, port: int, model: str, *, stream: bool) -> None:
    """One request, told on standard output."""
    began, what, who = time.monotonic(), "cut", ""
    try:
        what, who = ask(address, port, model, stream=stream)
    except TimeoutError:
        what = "late"
    except ConnectionRefusedError:
        what = "refused"
    except (OSError, http.client.HTTPException):
        what = "cut"
    told = Told(began, round(time.monotonic() - began, 4), stream, what, who)
    with suppress(BrokenPipeError):  # nobody reads any more: the end
        sys.stdout.write(f"{json.dumps(asdict(told))}\n")
        sys.stdout.flush()


def main(address: str, port: str, model: str, rate: str) -> None:
    """For ever."""
    due = time.monotonic()
    for number in itertools.count():
        asks = {"stream": bool(number % 2)}
        threading.Thread(target=once, args=(address, int(port), model), kwargs=asks, daemon=True).start()
        due += 1 / float(rate)
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main(*sys.argv[1:])
