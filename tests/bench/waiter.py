"""A client without a time-out: `python -m bench.waiter ADDRESS [MODEL]` asks once and prints when (monotonic seconds) that ended, however.

It asks for a completion of the model; without one, for GET /health, which hangs with the process but not with an engine behind it.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from contextlib import suppress


def main(address: str, model: str = "") -> None:
    """One request."""
    connection = http.client.HTTPConnection(address, 8000)
    with suppress(OSError, http.client.HTTPException):
        if model:
            body = json.dumps({"model": model, "prompt": "Once upon a time", "max_tokens": 64})
            connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        else:
            connection.request("GET", "/health")
        connection.getresponse().read()
    sys.stdout.write(f"{time.monotonic()}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
