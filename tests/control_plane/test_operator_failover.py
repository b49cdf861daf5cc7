"""The operator's own ears on real connections: a pod that hangs is left, ended and made anew, under the rights of the chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from allod.adapters.resources import resource
from support.engines import Engines
from support.models import SPEC, Models
from support.operator import Operator, Site, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVICES, PODS = resource("v1", "Service"), resource("v1", "Pod")


@pytest.fixture
def engines() -> Iterator[Engines]:
    made = Engines()
    yield made
    made.end()


def of(models: Models, name: str) -> list[dict[str, str]]:
    """Name, address and uid of its pods that have an address."""
    pods = (pod for pod in models.all(PODS) if pod["metadata"]["labels"]["allod.dev/model"] == name and pod["status"].get("podIP"))
    return [{"name": pod["metadata"]["name"], "address": pod["status"]["podIP"], "uid": pod["metadata"]["uid"]} for pod in pods]


def test_a_pod_that_falls_silent_is_left_and_ended(site: Site, models: Models, engines: Engines, tmp_path: Path) -> None:
    operator = Operator(site.kubeconfig, tmp_path)
    with running(operator):
        operator.wait_leading()
        models.create("small", replicas=1, model={**SPEC["model"], "aliases": ["chat"]})
        models.create("chat", replicas=1, standby={"modelDeploymentRef": {"name": "small"}})
        for name in ("small", "chat"):
            models.wait_settled(name)
            engines.at(of(models, name)[0]["address"])
        models.until("both are heard", lambda: operator.figure('allod_heartbeat_pods{state="Serving"}') >= 2)
        lost = of(models, "chat")[0]
        engines.at(lost["address"]).hangs.set()
        models.until("traffic left", lambda: models.get("chat", SERVICES)["spec"]["selector"]["allod.dev/model"] == "small")
        models.until("the pod is another", lambda: [pod["uid"] for pod in of(models, "chat")] not in ([], [lost["uid"]]))
        history = [step["action"] for step in models.get("chat")["status"]["history"]]
        assert history[0] == "FailedOver"
        assert operator.complaints() == []
