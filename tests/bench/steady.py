"""A client at a steady rate, to be run in the network of a Pod: each request on a new connection, whatever became of the one before.

`python -m bench.steady ADDRESS RATE STANDBY`: asks GET /v1/models and prints a JSON line for each request that ended: `began` (seconds of
the machine's monotonic clock), `took` (seconds), `who` (home, standby or lost).
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from contextlib import suppress

PATIENCE = 3.0
"""Seconds for one request."""


def ask(address: str, standby: str) -> None:
    began, who = time.monotonic(), "lost"
    connection = http.client.HTTPConnection(address, 8000, timeout=PATIENCE)
    try:
        connection.request("GET", "/v1/models")
        page = connection.getresponse().read().decode()
        if '"data"' in page:
            who = "standby" if f'"{standby}"' in page else "home"
    except (OSError, http.client.HTTPException):
        who = "lost"
    finally:
        connection.close()
    line = json.dumps({"began": began, "took": round(time.monotonic() - began, 4), "who": who})
    with suppress(BrokenPipeError):  # nobody reads any more: the end
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def main(address: str, rate: float, standby: str) -> None:
    due = time.monotonic()
    while True:
        threading.Thread(target=ask, args=(address, standby), daemon=True).start()
        due += 1 / rate
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
