"""A client without a time-out: `python -m bench.waiter ADDRESS` asks once and prints when (monotonic seconds) that ended, however."""

from __future__ import annotations

import http.client
import sys
import time
from contextlib import suppress


def main(address: str) -> None:
    connection = http.client.HTTPConnection(address, 8000)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/health")
        connection.getresponse().read()
    sys.stdout.write(f"{time.monotonic()}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
