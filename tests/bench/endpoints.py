"""From a pod's Ready to the EndpointSlice that lists it, by one watch for every Service: what is ours of it stands beside what is not."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from box.api import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from box.api import Api

SERVICE = "kubernetes.io/service-name"


class Endpoints:
    """Watches the pods and slices of a namespace for as long as the API server is there. Seconds of the monotonic clock."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.ready: dict[str, float] = {}
        """By the pod's name: when the watch said that it is ready."""
        self.listed: dict[tuple[str, str], float] = {}
        """By Service and pod: when a slice of it first had the pod as ready."""
        self._api = api
        self._follow(f"/api/v1/namespaces/{namespace}/pods", self._pod)
        self._follow(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices", self._slice)

    def after_ready(self, service: str, pod: str) -> float:
        """Seconds from the pod's Ready to the slice of that Service. A KeyError while one of the two has not come."""
        return self.listed[service, pod] - self.ready[pod]

    def _follow(self, path: str, tell: Callable[[dict[str, Any], float], None]) -> None:
        version = self._api.get(path)["metadata"]["resourceVersion"]

        def follow(version: str) -> None:
            while True:
                try:
                    for event in self._api.watch(path, version):
                        version = event["object"]["metadata"]["resourceVersion"]
                        if event["type"] in ("ADDED", "MODIFIED"):
                            tell(event["object"], time.perf_counter())
                except (OSError, Refused):  # the end of the control plane
                    return

        threading.Thread(target=follow, args=(version,), daemon=True).start()

    def _pod(self, pod: dict[str, Any], at: float) -> None:
        conditions = pod.get("status", {}).get("conditions", ())
        if any(each["type"] == "Ready" and each["status"] == "True" for each in conditions):
            self.ready.setdefault(pod["metadata"]["name"], at)

    def _slice(self, piece: dict[str, Any], at: float) -> None:
        service = piece["metadata"].get("labels", {}).get(SERVICE, "")
        for endpoint in piece.get("endpoints") or ():
            if endpoint["conditions"].get("ready") and "targetRef" in endpoint:
                self.listed.setdefault((service, endpoint["targetRef"]["name"]), at)


def plain(owner: str) -> dict[str, Any]:
    """A Service that no operator moves, for the pods of every revision of a model."""
    ports = [{"name": "http", "port": 8000}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "plain"},
        "spec": {"selector": {"allod.dev/model": owner}, "ports": ports},
    }
