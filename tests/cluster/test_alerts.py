"""Alerts for real: a Prometheus scrapes real pods and the operator, takes the rules that the operator made, and a fault makes them fire."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from box import addresses, containers, waiting
from cluster.models import Model, chat
from support.prometheus import Prometheus
from support.promtool import asked_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from box import Box
    from cluster.release import Release
    from cluster.space import Space

AFTER = 8
"""Seconds, of health.page.after."""
HEALTH: dict[str, Any] = {"drainTimeout": "1s", "hangTimeout": "3s", "page": {"after": f"{AFTER}s"}}
OPEN = {"allowFrom": [{"podSelector": {}}, {"ipBlock": {"cidr": f"{addresses.BOX}/32"}}]}
"""Prometheus has the box's own address: it is let in as any client is."""


@pytest.fixture
def prometheus(box: Box, release: Release) -> Iterator[Prometheus]:  # noqa: ARG001  its PodMonitor must be there
    made = Prometheus.start(box)
    yield made
    made.end()


def applied(space: Space, prometheus: Prometheus, *manifests: dict[str, Any]) -> list[Model]:
    """They are there with their rules, which Prometheus has taken over."""
    models = [Model.apply(space, manifest) for manifest in manifests]
    for model in models:
        there = ("get", "prometheusrule", model.name, "--ignore-not-found", "-o", "name")
        waiting.until(f"{model.name} has its rule", lambda words=there: bool(space.kubectl(*words)), seconds=60)  # type: ignore[misc]
    prometheus.follow()
    return models


def firing(prometheus: Prometheus, space: Space, name: str) -> dict[str, Any]:
    return next(each for each in prometheus.details(space.name) if each["labels"]["alertname"] == name)


def test_a_model_that_is_lost_pages_when_its_standby_has_answered_for_too_long_and_all_is_quiet_afterwards(
    space: Space, prometheus: Prometheus, box: Box
) -> None:
    small = chat("small", model={**chat()["spec"]["model"], "aliases": ["chat"]}, networkPolicy=OPEN)
    health = HEALTH | {"failover": {"holdFor": "20s"}}
    primary = chat(standby={"modelDeploymentRef": {"name": "small"}}, health=health, networkPolicy=OPEN)
    standby, model = applied(space, prometheus, small, primary)
    for each in (standby, model):
        each.wait("Ready", "True", "Serving")
    model.wait("StandbyReady", "True", "Serving")
    prometheus.wait(space.name, 30, AllodOperatorSilent="gone", AllodNotScraped="gone", AllodModelDown="gone", AllodModelLost="gone")
    waiting.until("nothing fires", lambda: prometheus.alerts(space.name) == {}, seconds=30)
    pods = [f"{space.name}/{pod['metadata']['name']}" for pod in model.pods()]
    containers.send([each for pod in pods for each in box.processes(pod, "engine", match="llama-server")], signal.SIGSTOP)
    prometheus.wait(space.name, 20, AllodFailedOver="firing", AllodOnStandbyTooLong="pending")
    prometheus.wait(space.name, AFTER + 10, AllodOnStandbyTooLong="firing")
    page = firing(prometheus, space, "AllodOnStandbyTooLong")
    assert page["labels"] == {
        "alertname": "AllodOnStandbyTooLong",
        "severity": "page",
        "level": "model",
        "namespace": space.name,
        "model": "chat",
    }
    assert page["annotations"]["summary"] == f"The standby has answered for model {space.name}/chat for 8s, and there is none behind it."
    assert firing(prometheus, space, "AllodFailedOver")["labels"]["severity"] == "warning"
    assert "AllodModelDown" not in prometheus.alerts(space.name), "the standby serves"
    waiting.until("the operator wrote it down", lambda: "Paged" in model.actions(), seconds=20)
    waiting.until("nothing fires any more", lambda: prometheus.alerts(space.name) == {}, seconds=90)
    model.wait("FailedOver", "False", "AtHome")
    model.tells("Paged: a person is needed: the standby has answered for 8s")


def test_a_broken_model_pages_until_its_spec_is_corrected(space: Space, prometheus: Prometheus) -> None:
    broken = {"uri": "oci://allod.test/model/none:gguf/model.gguf"}
    (model,) = applied(space, prometheus, chat(model=broken, health=HEALTH, networkPolicy=OPEN))
    prometheus.wait(space.name, 30, AllodModelDown="pending")
    prometheus.wait(space.name, AFTER + 20, AllodModelDown="firing", AllodDegraded="firing")
    page = firing(prometheus, space, "AllodModelDown")
    assert {name: page["labels"][name] for name in ("severity", "model")} == {"severity": "page", "model": "chat"}
    assert page["annotations"]["description"].startswith("The reason is ModelImagePull. kubectl describe mdl chat")
    assert firing(prometheus, space, "AllodDegraded")["labels"]["reason"] == "ModelImagePull"
    Model.apply(space, chat(health=HEALTH, networkPolicy=OPEN))
    model.wait("Ready", "True", "Serving")
    waiting.until("nothing fires any more", lambda: prometheus.alerts(space.name) == {}, seconds=30)


def test_a_model_that_prometheus_may_not_reach_says_so_and_every_name_is_on_a_page_once_it_may(
    space: Space, prometheus: Prometheus
) -> None:
    (model,) = applied(space, prometheus, chat(health=HEALTH))
    model.wait("Ready", "True", "Serving")
    prometheus.wait(space.name, AFTER + 20, AllodNotScraped="firing")
    Model.apply(space, chat(health=HEALTH, networkPolicy=OPEN))
    prometheus.wait(space.name, 30, AllodNotScraped="gone")
    absent = asked_for(space.get("prometheusrule", "chat")) - prometheus.names()
    assert absent == set(), "neither llama.cpp nor the operator publishes this"
    assert prometheus.number(f'llamacpp:requests_deferred{{namespace="{space.name}",allod_dev_model="chat"}}') == 0
    assert prometheus.number(f'allod_condition{{namespace="{space.name}",type="Ready",status="True",reason="Serving"}}') == 1
