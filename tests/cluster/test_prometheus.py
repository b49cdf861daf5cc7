"""The operator learns what engines count from a Prometheus, and asks them no more: on real nodes, with a real Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from box import addresses
from box.image import operatorimage
from cluster.models import Model, client
from cluster.release import NAMESPACE
from cluster.told import OPEN, TOKEN, WHERE, certified, told
from support.prometheus import NAME, Prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from box import Box
    from cluster.release import Release
    from cluster.space import Space

STANDIN = Path(__file__).parents[1] / "support" / "standin.py"


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    return tmp_path / "certificates"


@pytest.fixture
def prometheus(box: Box, release: Release, certificates: Path) -> Iterator[Prometheus]:
    """As a company has it: with a certificate of its own authority, and a token is sent to it."""
    with certified(box, certificates) as values, told(release, **values):
        made = Prometheus.start(box, certificates)
        yield made
        made.end()


def standin(name: str, **spec: Any) -> dict[str, Any]:
    """A vLLM model whose engine is the stand-in: real vLLM fails no request on demand. Its objective allows one error of a hundred."""
    slo = {"name": "errors", "metric": "ErrorRatio", "threshold": "0.01", "window": "30s", "minRequests": 50}
    program = {"name": "standin", "mountPath": "/usr/local/bin/vllm", "subPath": "vllm", "readOnly": True}
    return {
        "apiVersion": "allod.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {
            "model": {"uri": "hf://allod/standin"},
            # Of ModelScope our question to the hub knows nothing, and the stand-in downloads nothing.
            "engine": {"type": "vLLM", "image": operatorimage.IMAGE_NAME, "env": [{"name": "VLLM_USE_MODELSCOPE", "value": "1"}]},
            "resources": {"cpu": "50m", "memory": "256Mi"},
            "health": {"drainTimeout": "1s", "slos": [slo]},
            "rollout": {"bake": "0s"},
            "podTemplate": {
                "spec": {
                    "containers": [{"name": "engine", "volumeMounts": [program]}],
                    "volumes": [{"name": "standin", "configMap": {"name": "standin", "defaultMode": 0o555}}],
                }
            },
            **spec,
        },
    }


def fails(space: Space, model: Model, part: float) -> None:
    """Every pod of the model fails that part of its requests from now on."""
    for pod in model.pods():
        space.inside(client(space), f"wget -q -T 5 -O - http://{pod['status']['podIP']}:8000/fail/{part}")


def asked_by_prometheus_alone(space: Space, prometheus: Prometheus) -> None:
    """By the stand-in's own count of who asked for its page, and by the operator's."""
    asked = f'sum(standin_asked_total{{namespace="{space.name}",allod_dev_model="chat",by%s"{addresses.BOX}"}})'
    assert (prometheus.number(asked % "=") or 0) > 50, "Prometheus asks each of two pods each second"
    # A replica that leads asks each engine once, for the size of its memory.
    assert (prometheus.number(asked % "!=") or 0) <= 2 * 2
    assert (prometheus.number('sum(allod_prometheus_queries_total{result="answered"})') or 0) >= 3
    assert prometheus.number("sum(allod_scrapes_total)") is None, "no pod is asked for its counters"


def test_objectives_are_judged_by_prometheus_and_a_prometheus_that_goes_away_is_told_and_comes_back(
    space: Space, prometheus: Prometheus, box: Box, certificates: Path
) -> None:
    space.kubectl("create", "configmap", "standin", f"--from-file=vllm={STANDIN}")
    model = Model.apply(space, standin("chat", replicas=2, networkPolicy=OPEN))
    closed = Model.apply(space, standin("closed"))
    for each in (model, closed):
        each.wait("Ready", "True", "Serving", seconds=90)
    prometheus.follow()
    assert model.condition("Measured")["reason"] in ("NotScrapedYet", "Scraped")
    model.wait("Measured", "True", "Scraped", seconds=60)
    fails(space, model, 0.2)
    message = model.wait("Degraded", "True", "SLOErrors", seconds=90)
    assert message.startswith("errors 0."), message
    assert " > 0.010 over 30s, " in message
    requests = int(message.rpartition(" requests")[0].rpartition(", ")[2])
    assert 450 <= requests <= 1000, "two pods, ten a second each, a window of 30 s that is longer by a scrape and a look"

    asked_by_prometheus_alone(space, prometheus)

    box.programs.end(NAME)
    why = model.wait("Measured", "False", "PrometheusUnavailable", seconds=75)
    assert why.startswith(f"Prometheus at https://{WHERE} does not answer: "), why
    assert model.condition("Ready")["status"] == "True"
    model.wait("Degraded", "False", seconds=120)
    assert model.condition("Ready")["status"] == "True", "not known is not bad"

    again = Prometheus.start(box, certificates)
    again.follow()
    model.wait("Measured", "True", "Scraped", seconds=60)
    model.wait("Degraded", "True", "SLOErrors", seconds=90)
    fails(space, model, 0)
    model.wait("Degraded", "False", seconds=90)
    blind = closed.wait("Measured", "False", "NotScraped", seconds=120)
    assert blind.startswith("Prometheus has no fresh figures of pod closed-"), blind
    assert closed.condition("Degraded")["status"] == "False", "and never that it has no errors"
    logs = box.kubectl("logs", "--namespace", NAMESPACE, "--selector", "app.kubernetes.io/name=allod", "--tail=-1")
    assert "Prometheus answers again" in logs
    assert TOKEN not in logs
    again.door.close()
