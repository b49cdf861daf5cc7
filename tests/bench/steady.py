"""A client at a steady rate, to be run in the network of a Pod: one request after the other, whatever became of the one before.

`python -m bench.steady ADDRESS RATE STANDBY [kept]`: asks GET /v1/models and prints a JSON line for each request that ended: `began`
(seconds of the machine's monotonic clock), `took` (seconds), `who` (home, standby or lost). Each request takes a connection of its own;
with `kept` connections are used again, as an SDK's pool does, and one that turns out to be closed is replaced once: then `again` is true.
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
BROKEN = (OSError, http.client.HTTPException)


class Client:
    """Asks one address."""

    def __init__(self, address: str, standby: str, *, keeps: bool) -> None:
        self.address, self.standby, self.keeps = address, standby, keeps
        self.idle: list[http.client.HTTPConnection] = []

    def ask(self) -> None:
        """One request, told on standard output."""
        began, who, again = time.monotonic(), "lost", False
        kept = self.idle.pop() if self.idle else None
        try:
            try:
                who = self._asked(kept or self._new())
            except BROKEN:
                if kept is None or time.monotonic() - began > PATIENCE / 2:
                    raise
                again, who = True, self._asked(self._new())
        except BROKEN:
            who = "lost"
        line = json.dumps({"began": began, "took": round(time.monotonic() - began, 4), "who": who, "again": again})
        with suppress(BrokenPipeError):  # nobody reads any more: the end
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    def _new(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address, 8000, timeout=PATIENCE)

    def _asked(self, connection: http.client.HTTPConnection) -> str:
        try:
            connection.request("GET", "/v1/models")
            answer = connection.getresponse()
            page = answer.read().decode()
        except BROKEN:
            connection.close()
            raise
        if self.keeps and not answer.will_close:
            self.idle.append(connection)
        else:
            connection.close()
        return ("standby" if f'"{self.standby}"' in page else "home") if '"data"' in page else "lost"


def main(address: str, rate: float, standby: str, how: str = "") -> None:
    """For ever."""
    client, due = Client(address, standby, keeps=how == "kept"), time.monotonic()
    while True:
        threading.Thread(target=client.ask, daemon=True).start()
        due += 1 / rate
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), *sys.argv[3:])
