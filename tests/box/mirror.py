"""A local copy of some lists of the API, kept by watching: what an agent of the box decides from."""

from __future__ import annotations

import http.client
import sys
import threading
import time
from collections.abc import Iterator, Mapping

from box.api import Api, Object
from box.errors import BoxError

Seen = Mapping[str, list[Object]]
"""The objects of each list, by the name it was asked under."""
SETTLE = 0.02
"""Seconds to wait after a change: they come in bursts, and one answer to all is enough."""
AGAIN = 0.5
"""Seconds before a list that failed is asked for again."""


class Mirror:
    """`Mirror(api, services="/api/v1/services").changes()` yields at the start and after every change."""

    def __init__(self, api: Api, **paths: str) -> None:
        self.api = api
        self.paths = paths
        self.objects: dict[str, dict[str, Object]] = {}
        self.changed = threading.Condition()
        self.version = 0

    def changes(self, *, at_least_every: float | None = None) -> Iterator[Seen]:
        """What there is, each time that it has changed, and after so many seconds in any case."""
        for name, path in self.paths.items():
            threading.Thread(target=self._follow, args=(name, path), daemon=True).start()
        told = 0
        while True:
            with self.changed:
                self.changed.wait_for(lambda: len(self.objects) == len(self.paths))
                self.changed.wait_for(lambda: self.version > told, timeout=at_least_every)  # noqa: B023  read while this turn lasts
            time.sleep(SETTLE)
            with self.changed:
                told = self.version
                seen = {name: list(objects.values()) for name, objects in self.objects.items()}
            yield seen

    def _follow(self, name: str, path: str) -> None:
        """Lists, then watches, for ever."""
        while True:
            try:
                listed = self.api.get(path)
                self._replace(name, {_uid(item): item for item in listed["items"]})
                for event in self.api.watch(path, listed["metadata"]["resourceVersion"]):
                    if event["type"] == "ERROR":  # the version is too old: list again
                        break
                    self._take(name, event["type"], event["object"])
            except (OSError, http.client.HTTPException, BoxError) as error:
                print(f"{path}: {error}", file=sys.stderr, flush=True)
                time.sleep(AGAIN)

    def _replace(self, name: str, objects: dict[str, Object]) -> None:
        with self.changed:
            self.objects[name] = objects
            self.version += 1
            self.changed.notify_all()

    def _take(self, name: str, kind: str, item: Object) -> None:
        if kind == "BOOKMARK":
            return
        with self.changed:
            if kind == "DELETED":
                self.objects[name].pop(_uid(item), None)
            else:
                self.objects[name][_uid(item)] = item
            self.version += 1
            self.changed.notify_all()


def _uid(item: Object) -> str:
    return str(item["metadata"]["uid"])
