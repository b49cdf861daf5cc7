from __future__ import annotations

import pytest

from allod.adapters.prometheus import Access
from allod.runtime.settings import BadSettings, Settings

IMAGES = {
    "ALLOD_VLLM_IMAGE": "vllm:1",
    "ALLOD_VLLM_CPU_IMAGE": "vllm-cpu:1",
    "ALLOD_LLAMACPP_IMAGE": "llama:1",
    "ALLOD_INSPECT_IMAGE": "allod:1",
}


def test_the_images_are_enough() -> None:
    settings = Settings.from_environment(IMAGES)
    assert settings.defaults.llamacpp_image == "llama:1"
    assert (settings.namespaces, settings.namespace, settings.http_port, settings.log_level) == ((), "allod-system", 8080, "INFO")
    assert settings.defaults.cluster_domain == "cluster.local"


def test_everything_can_be_said() -> None:
    given = {
        "ALLOD_NAMESPACES": "ai, research,",
        "POD_NAMESPACE": "ops",
        "POD_NAME": "allod-7",
        "ALLOD_CLUSTER_DOMAIN": "corp",
        "ALLOD_HTTP_HOST": "127.0.0.1",
        "ALLOD_HTTP_PORT": "9090",
        "ALLOD_LOG_LEVEL": "debug",
    }
    settings = Settings.from_environment(IMAGES | given)
    assert settings.namespaces == ("ai", "research")
    assert (settings.namespace, settings.pod_name, settings.defaults.cluster_domain) == ("ops", "allod-7", "corp")
    assert (settings.http_host, settings.http_port, settings.log_level) == ("127.0.0.1", 9090, "DEBUG")


def test_a_prometheus_has_an_address_and_what_it_takes_to_be_let_in() -> None:
    given = {"ALLOD_PROMETHEUS_URL": "https://prometheus.example.com/base/", "ALLOD_PROMETHEUS_TOKEN_FILE": "/token"}
    assert Settings.from_environment(IMAGES).prometheus is None
    assert Settings.from_environment(IMAGES | given).prometheus == Access("https://prometheus.example.com/base", "", "/token", {})
    labels = {"ALLOD_PROMETHEUS_CA_FILE": "/ca", "ALLOD_PROMETHEUS_MATCH_LABELS": '{"cluster": "zurich"}'}
    assert Settings.from_environment(IMAGES | given | labels).prometheus == Access(
        "https://prometheus.example.com/base", "/ca", "/token", {"cluster": "zurich"}
    )


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Settings.from_environment(IMAGES | {"ALLOD_NAMESPACES": " ", "POD_NAMESPACE": ""}).namespaces == ()


def test_two_processes_outside_a_cluster_have_different_names() -> None:
    assert Settings.from_environment(IMAGES).pod_name.rpartition("-")[2].isdecimal()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"ALLOD_VLLM_IMAGE": ""}, "ALLOD_VLLM_IMAGE must be set"),
        ({"ALLOD_HTTP_PORT": "http"}, "ALLOD_HTTP_PORT is 'http': write a port number"),
        ({"ALLOD_HTTP_PORT": "70000"}, "ALLOD_HTTP_PORT is '70000'"),
        ({"ALLOD_PROMETHEUS_URL": "prometheus:9090"}, r"ALLOD_PROMETHEUS_URL is 'prometheus:9090': write http\(s\)://HOST"),
        ({"ALLOD_PROMETHEUS_URL": "https://p/?a=b"}, "ALLOD_PROMETHEUS_URL is 'https://p/"),
        ({"ALLOD_PROMETHEUS_URL": "http://ada:x1y2@p"}, "^ALLOD_PROMETHEUS_URL has a password in it: use a token, by prometheus.token"),
        ({"ALLOD_PROMETHEUS_URL": "http://p", "ALLOD_PROMETHEUS_TOKEN_FILE": "/t"}, "has to begin with https:// where a token is sent"),
        ({"ALLOD_PROMETHEUS_URL": "http://p", "ALLOD_PROMETHEUS_MATCH_LABELS": "a=b"}, "MATCH_LABELS is 'a=b': write a JSON object"),
        ({"ALLOD_PROMETHEUS_URL": "http://p", "ALLOD_PROMETHEUS_MATCH_LABELS": '{"a": 1}'}, "write a JSON object of strings"),
        ({"ALLOD_LOG_LEVEL": "loud"}, "ALLOD_LOG_LEVEL is 'loud': write one of DEBUG, INFO"),
    ],
)
def test_what_makes_no_sense_is_named(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadSettings, match=sentence):
        Settings.from_environment(IMAGES | given)
