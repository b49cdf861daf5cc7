from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from allod.adapters.prometheus import Access
from allod.runtime.settings import Settings
from support.helm import FULL, MINIMAL, Helm

if TYPE_CHECKING:
    from pathlib import Path

POD = {"metadata.name": "allod-7d9c5b-x2x4z", "metadata.namespace": "allod-system"}
"""What the kubelet puts in for a fieldRef."""


def settings(helm: Helm, values: Path) -> Settings:
    """What the operator makes of the environment that the chart gives it."""
    deployment = next(manifest for manifest in helm.template(values) if manifest["kind"] == "Deployment")
    environment = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    return Settings.from_environment(
        {each["name"]: each["value"] if "value" in each else POD[each["valueFrom"]["fieldRef"]["fieldPath"]] for each in environment}
    )


@pytest.mark.parametrize("values", [pytest.param(MINIMAL, id="minimal"), pytest.param(FULL, id="full")])
def test_the_operator_reads_from_the_chart_where_it_is_and_where_it_listens(helm: Helm, values: Path) -> None:
    read = settings(helm, values)
    assert (read.pod_name, read.namespace, read.http_port) == ("allod-7d9c5b-x2x4z", "allod-system", 8080)


def test_the_operator_reads_every_value_of_the_chart_that_is_meant_for_it(helm: Helm) -> None:
    read = settings(helm, FULL)
    assert read.namespaces == ("ai", "research")
    assert read.log_level == "DEBUG"
    assert read.defaults.cluster_domain == "bank.internal"
    assert read.defaults.vllm_image == "registry.example.com/vllm/vllm-openai:v0.32.0"
    assert read.defaults.vllm_cpu_image == "registry.example.com/vllm/vllm-openai-cpu:v0.31.0"
    assert read.defaults.llamacpp_image == "registry.example.com/ggml-org/llama.cpp:server-b11176"
    assert read.prometheus == Access(
        "https://prometheus.example.com/prometheus",
        "/etc/allod/prometheus/ca.crt",
        "/etc/allod/prometheus/token",
        {"cluster": "zurich"},
    )
    assert read.defaults.inspect_image.startswith("registry.example.com/allod/operator:0.1.0@sha256:")


def test_without_an_address_of_a_prometheus_the_operator_asks_the_engines(helm: Helm) -> None:
    assert settings(helm, MINIMAL).prometheus is None


def test_without_namespaces_the_operator_watches_all(helm: Helm) -> None:
    assert settings(helm, MINIMAL).namespaces == ()
