"""One JSON object a line on stderr. INFO is for changes of state; what a reconcile does on its way is DEBUG."""

from __future__ import annotations

import logging

from pythonjsonlogger.json import JsonFormatter

QUIET = {
    # kopf narrates every event at INFO, and writes an ERROR for each attempt while the API server is away: we say that once ourselves.
    "kopf": logging.CRITICAL,
    "aiohttp": logging.WARNING,
    "asyncio": logging.WARNING,
}


def configure(level: str) -> None:
    """Log at this level and above."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, its in QUIET.items():
        logging.getLogger(name).setLevel(its)
