"""What the demo leaves alone on a person's own cluster."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from demo import example
from demo.example import MARK, SURVIVE
from demo.guard import RELEASE, Found, refusal

OURS = {MARK: "true"}


def release(chart: str, name: str = "allod", namespace: str = "allod-system") -> dict[str, str]:
    return {"name": name, "namespace": namespace, "chart": chart}


def made(name: str, namespace: str = "ai", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, **metadata}}


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(Found(), id="an empty cluster"),
        pytest.param(Found(releases=(release("cert-manager-v1.19.0"), release("allod-gateway-0.1.0"))), id="releases of other charts"),
        pytest.param(Found(operators=(made("allod", annotations={RELEASE: "allod"}),)), id="the operator of a release"),
        pytest.param(Found(models=(made("legal"), made("chat", labels=OURS), made("chat-small", labels=OURS))), id="its own models"),
        pytest.param(Found(pods=(made("demo-client", labels=OURS),)), id="a client that a stopped demo left"),
    ],
)
def test_nothing_that_the_demo_would_damage(found: Found) -> None:
    assert refusal(found) is None


@pytest.mark.parametrize(
    ("found", "says"),
    [
        pytest.param(
            Found(releases=(release("allod-0.1.0"),)),
            "the Helm release allod in namespace allod-system is Allod's and not of this demo, which would reset its values",
            id="a release in the demo's place",
        ),
        pytest.param(
            Found(releases=(release("cert-manager-v1.19.0"), release("allod-0.2.0-rc.1+build-7", "llm", "platform"))),
            "the Helm release llm in namespace platform is Allod's",
            id="a release anywhere: the CRDs and models are everybody's",
        ),
        pytest.param(
            Found(operators=(made("allod", "argo-allod"),)),
            "Deployment allod in namespace argo-allod is an operator of Allod that came without Helm",
            id="an operator that Argo CD brought",
        ),
        pytest.param(
            Found(models=(made("chat-small", labels=OURS), made("chat", labels={MARK: "false"}))),
            "ModelDeployment chat in namespace ai is not of this demo, which would overwrite it: choose another namespace",
            id="a model of the same name",
        ),
        pytest.param(
            Found(pods=(made("demo-client"),)),
            "Pod demo-client in namespace ai is not of this demo",
            id="a pod of the same name",
        ),
    ],
)
def test_what_it_would_damage_is_named(found: Found, says: str) -> None:
    why = refusal(found)
    assert why is not None
    assert why.startswith(says)
    assert why.endswith(".")


def test_what_the_demo_applies_is_its_own_and_has_the_model_of_the_place() -> None:
    applied = list(yaml.safe_load_all(example.documents(SURVIVE, "pvc://models/model.gguf")))
    assert {each["metadata"]["name"] for each in applied} == example.names() == {"chat", "chat-small"}
    assert all(refusal(Found(models=(made(**each["metadata"]),))) is None for each in applied)
    assert {each["spec"]["model"]["uri"] for each in applied} == {"pvc://models/model.gguf"}
