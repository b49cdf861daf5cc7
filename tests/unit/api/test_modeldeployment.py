from __future__ import annotations

import pytest
from pydantic import ValidationError

from admission.case import VLLM, named, vllm
from admission.table import CASES
from allod.api.modeldeployment import ModelDeployment, NetworkPolicy, Parallelism


def test_what_a_newer_version_added_is_ignored() -> None:
    newer = vllm(autoscaling={"maxReplicas": 4}, engine__speculative={"method": "ngram"})
    newer["status"] = {"forecast": {"pods": 3}, "url": "http://chat.default.svc:8000/v1"}
    assert ModelDeployment.model_validate(newer).spec == ModelDeployment.model_validate(VLLM).spec


def test_every_manifest_that_the_api_server_takes_is_read() -> None:
    for case in CASES:
        assert ModelDeployment.model_validate(case.passes).metadata.name


def test_a_section_that_is_left_out_is_what_the_operator_does_without_it() -> None:
    spec = ModelDeployment.model_validate(VLLM).spec
    assert (spec.replicas, spec.parallelism, spec.network_policy) == (1, Parallelism(tensor=1, pipeline=1), NetworkPolicy(allow_from=None))
    assert (spec.health.startup_timeout.seconds, spec.health.hang_timeout.seconds, spec.health.drain_timeout.seconds) == (1800, 30, 45)
    assert (spec.model.task, spec.monitoring.pod_monitor, spec.suspend) == ("Generate", True, False)


def test_a_document_is_what_was_written_without_defaults() -> None:
    written = vllm(
        resources__cpu=16,
        scheduling={"tolerations": [{"key": "gpu", "operator": "Exists"}], "affinity": {"podAntiAffinity": {}}},
        networkPolicy={"allowFrom": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]},
        podTemplate={"spec": {"hostPID": False, "containers": [{"name": "engine", "securityContext": {"runAsUser": 7}}]}},
        engine__env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
    )
    read = ModelDeployment.model_validate(written).document()
    written["spec"]["resources"]["cpu"] = "16"
    assert read["spec"] == written["spec"]


def test_an_objective_is_read_with_its_numbers() -> None:
    slo = {"name": "ttft", "metric": "TTFTSeconds", "quantile": "0.99", "threshold": "2.5", "window": "5m"}
    (read,) = ModelDeployment.model_validate(vllm(health__slos=[slo])).spec.health.slos
    assert read.quantile
    assert (read.quantile.value, read.threshold.value, read.window.seconds, read.min_requests) == (0.99, 2.5, 300, 50)


def test_a_null_is_a_field_that_was_left_out() -> None:
    assert ModelDeployment.model_validate(vllm(health=None, engine__args=None)).spec == ModelDeployment.model_validate(VLLM).spec


def test_clients_ask_by_the_served_name_or_the_objects_own() -> None:
    assert ModelDeployment.model_validate(named("chat")).served_name == "chat"
    assert ModelDeployment.model_validate(named("chat", model__servedName="qwen3")).served_name == "qwen3"


def test_a_model_that_was_read_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ModelDeployment.model_validate(VLLM).spec.replicas = 2


def test_an_error_names_the_field() -> None:
    with pytest.raises(ValidationError, match=r"spec\.resources\.memory") as refused:
        ModelDeployment.model_validate(vllm(resources__memory="128"))
    assert "an amount of memory is a number with its unit" in str(refused.value)
