"""The least that could be done about a dead pod, as a limit for what the operator does: one kept connection and one PATCH.

`python -m bench.reactor POD_ADDRESS API PKI SERVICE_PATH SELECTOR`: asks GET /health each 0.25 s with a time-out of 0.5 s. Closed or
refused is looked at again at once; two in a row that are no 200, and it patches the Service's selector and ends. A new llama.cpp may listen
0.2 s after the old one's end, and answers 503 while it loads.
"""

from __future__ import annotations

import http
import http.client
import json
import sys
import time
from contextlib import suppress
from pathlib import Path

from box.api import Api

PERIOD, PATIENCE, FAILURES = 0.25, 0.5, 2


def watch(address: str) -> None:
    """Returns when the pod is dead or silent."""
    failures = 0
    connection = http.client.HTTPConnection(address, 8000, timeout=PATIENCE)
    while failures < FAILURES:
        began = time.monotonic()
        try:
            failures = 0 if _well(connection) else failures + 1
        except (OSError, http.client.HTTPException) as problem:
            failures += 1
            with suppress(OSError):
                connection.close()
            if not isinstance(problem, TimeoutError):
                continue
        time.sleep(max(0.0, PERIOD - (time.monotonic() - began)))


def _well(connection: http.client.HTTPConnection) -> bool:
    connection.request("GET", "/health")
    answer = connection.getresponse()
    answer.read()
    return answer.status == http.HTTPStatus.OK


def main(address: str, server: str, pki: str, service: str, selector: str) -> None:
    api = Api(server, Path(pki))
    sys.stdout.write("watching\n")
    sys.stdout.flush()
    watch(address)
    api.send("PATCH", service, {"spec": {"selector": json.loads(selector)}}, "application/merge-patch+json")


if __name__ == "__main__":
    main(*sys.argv[1:])
