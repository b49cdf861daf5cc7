from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from support.helm import CHART, FULL, MINIMAL, Helm, HelmError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
HELMS_OWN = {"global", "enabled"}
"""What a parent chart hands down: in the schema so that it is not refused, not in values.yaml because nothing reads it."""


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each value with its dotted path. An empty map is a value, like an empty list."""
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value and all(isinstance(deeper, dict | list | str | int | bool) for deeper in value.values()):
            yield from leaves(value, f"{path}.")
        else:
            yield path, value


def schema_leaves(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, deeper in schema["properties"].items():
        if deeper.get("properties") and deeper.get("required"):
            yield from schema_leaves(deeper, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def at(values: dict[str, Any], path: str) -> Any:
    for key in path.split("."):
        values = values[key]
    return values


PROMETHEUS = 'prometheus.url="https://prometheus.example.com:9090"'
PATHS = sorted(set(schema_leaves(SCHEMA)) - HELMS_OWN)


def test_the_schema_knows_exactly_the_values_that_exist() -> None:
    for path in PATHS:
        at(DEFAULTS, path)
    known = tuple(f"{path}." for path in PATHS)
    assert [path for path, _ in leaves(DEFAULTS) if path not in PATHS and not path.startswith(known)] == []


def test_every_value_has_a_comment() -> None:
    lines = [line.strip() for line in (CHART / "values.yaml").read_text().splitlines()]
    for path in PATHS:
        key = path.rpartition(".")[2]
        places = [number for number, line in enumerate(lines) if line.startswith(f"{key}:")]
        assert any(lines[place - 1].startswith("#") for place in places), f"{path} has no comment in values.yaml"


@pytest.mark.parametrize("path", PATHS)
def test_no_value_does_nothing(helm: Helm, path: str) -> None:
    """Each value of full-values.yaml, set alone, changes what is rendered."""
    value = at(yaml.safe_load(FULL.read_text()), path)
    base: list[str | Path] = [MINIMAL]
    match path:
        case "image.repository":
            value = "registry.example.com/other"
        case "image.tag":
            value = "other"
        case "crds.install" | "rbac.people" | "networkPolicy.enabled":
            value = False
        case "metrics.podMonitor.labels" | "metrics.podMonitor.interval":
            base.append("metrics.podMonitor.enabled=true")
        case "prometheus.token.serviceAccount":
            value = True
            base.append(PROMETHEUS)
        case "prometheus.token.audience":
            base += [PROMETHEUS, "prometheus.token.serviceAccount=true"]
        case "prometheus.caBundle.key":
            base += [PROMETHEUS, 'prometheus.caBundle.configMap="ca"']
        case "prometheus.token.key":
            base += [PROMETHEUS, 'prometheus.token.secret="token"']
        case _ if path.startswith(("prometheus.", "networkPolicy.prometheus")) and path != "prometheus.url":
            base.append(PROMETHEUS)
    assert helm.text(*base) != helm.text(*base, f"{path}={json.dumps(value)}")


def test_the_operator_image_must_be_named_and_the_refusal_says_how(helm: Helm) -> None:
    with pytest.raises(
        HelmError, match=r"image.repository is not set: build the operator's image, push it to your registry and name it here"
    ):
        helm.text()


@pytest.mark.parametrize(
    ("value", "refusal"),
    [
        pytest.param("replica=2", "additional properties 'replica' not allowed", id="a misspelt value"),
        pytest.param('image.name="x"', "at '/image': additional properties 'name' not allowed", id="a misspelt value further in"),
        pytest.param("replicas=0", "at '/replicas': minimum: got 0, want 1", id="no operator at all"),
        pytest.param('replicas="2"', "at '/replicas': got string, want integer", id="a number in quotes"),
        pytest.param('image.tag="a:b"', "at '/image/tag': 'a:b' does not match pattern", id="not a tag"),
        pytest.param("image.tag=1.2", "at '/image/tag': got number, want string", id="a tag without quotes"),
        pytest.param('image.repository="registry.example.com/operator:1.0"', "at '/image/repository'", id="a tag in the repository"),
        pytest.param('image.digest="9f86d0"', "at '/image/digest': '9f86d0' does not match pattern", id="not a digest"),
        pytest.param('image.pullPolicy="always"', "value must be one of 'Always', 'IfNotPresent', 'Never'", id="not a pull policy"),
        pytest.param('engines.vllm.image=""', "at '/engines/vllm/image'", id="an engine without an image"),
        pytest.param('engines.vLLM={"image": "x"}', "additional properties 'vLLM' not allowed", id="an engine of another spelling"),
        pytest.param('namespaces=["ai", "ai"]', "items at 0 and 1 are equal", id="a namespace twice"),
        pytest.param('namespaces=["ai-*"]', "at '/namespaces/0': 'ai-*' does not match pattern", id="a wildcard for namespaces"),
        pytest.param('namespaces="ai"', "at '/namespaces': got string, want array", id="a namespace without a list"),
        pytest.param('logLevel="INFO"', "value must be one of 'debug', 'info', 'warning', 'error'", id="not a level"),
        pytest.param('podLabels={"app.kubernetes.io/name": "x"}', "invalid propertyName 'app.kubernetes.io/name'", id="a label of ours"),
        pytest.param(
            'extraEnv=[{"name": "A", "value": 1}]', "at '/extraEnv/0/value': got number, want string", id="a number as environment"
        ),
        pytest.param(
            'extraEnv=[{"name": "POD_NAME", "value": "x"}]', "extraEnv: POD_NAME is set already", id="an environment variable of the chart"
        ),
        pytest.param(
            'extraEnv=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]', "extraEnv: A is set already", id="a variable twice"
        ),
        pytest.param('resources={"limits": {"memory": "lots"}}', "at '/resources/limits/memory'", id="not a quantity"),
        pytest.param('metrics.podMonitor.enabled="yes"', "value must be one of true, false, 'auto'", id="neither yes nor no"),
        pytest.param('metrics.podMonitor.interval="often"', "at '/metrics/podMonitor/interval'", id="not a duration"),
        pytest.param('prometheus.url="prometheus:9090"', "at '/prometheus/url'", id="an address without a scheme"),
        pytest.param('prometheus.url="https://ada:secret@prometheus"', "at '/prometheus/url'", id="a password in an address"),
        pytest.param('prometheus.matchLabels={"the-cluster": "a"}', "invalid propertyName 'the-cluster'", id="no label of Prometheus"),
        pytest.param(
            'prometheus={"url": "http://p:9090", "token": {"secret": "t"}}',
            "prometheus.token is sent over https alone",
            id="a token for all",
        ),
        pytest.param(
            'prometheus={"url": "https://p", "token": {"secret": "t", "serviceAccount": true}}', "not both", id="two tokens at once"
        ),
        pytest.param(
            "networkPolicy.apiServerPorts=[]", "at '/networkPolicy/apiServerPorts': minItems: got 0, want 1", id="no way to the API"
        ),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(helm: Helm, value: str, refusal: str) -> None:
    with pytest.raises(HelmError) as refused:
        helm.text(MINIMAL, value)
    assert refusal in str(refused.value)


@pytest.mark.parametrize("value", ['global={"region": "ch"}', "enabled=true"])
def test_a_parent_chart_may_hand_down_what_helm_lets_it(helm: Helm, value: str) -> None:
    assert helm.text(MINIMAL, value) == helm.text(MINIMAL)


@pytest.mark.parametrize(
    ("digest", "image"),
    [
        pytest.param("", "registry.example.com/allod/operator:0.1.0", id="by tag"),
        pytest.param("sha256:" + "0" * 64, "registry.example.com/allod/operator:0.1.0@sha256:" + "0" * 64, id="by digest"),
    ],
)
def test_model_pods_are_inspected_with_the_operators_own_image(helm: Helm, digest: str, image: str) -> None:
    deployment = next(manifest for manifest in helm.template(MINIMAL, f'image.digest="{digest}"') if manifest["kind"] == "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == image
    assert {"name": "ALLOD_INSPECT_IMAGE", "value": image} in container["env"]
