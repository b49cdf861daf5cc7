"""What the person who installs the operator chooses: environment variables, set by the chart."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from allod.adapters.prometheus import Access
from allod.domain.serving.seen import Defaults

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class BadSettings(ValueError):  # noqa: N818  # it is read as what happened
    """A variable is missing or makes no sense. The text names it and says what to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One process of the operator."""

    defaults: Defaults
    """What every model gets unless its spec says otherwise: ALLOD_VLLM_IMAGE, ALLOD_VLLM_CPU_IMAGE, ALLOD_LLAMACPP_IMAGE and
    ALLOD_INSPECT_IMAGE (all required), ALLOD_CLUSTER_DOMAIN (cluster.local), POD_NAMESPACE (allod-system)."""
    namespaces: tuple[str, ...] = ()
    """ALLOD_NAMESPACES, joined by commas: models in other namespaces are left alone. Empty: all namespaces."""
    pod_name: str
    """POD_NAME: who we are in the election of the leader. It must differ between replicas. Outside a pod: host name and process id."""
    http_host: str = ""
    """ALLOD_HTTP_HOST: address on which /healthz, /readyz and /metrics are served. Empty: all addresses of the pod."""
    http_port: int = 8080
    """ALLOD_HTTP_PORT: where the same listen."""
    log_level: str = "INFO"
    """ALLOD_LOG_LEVEL: DEBUG, INFO, WARNING or ERROR."""
    prometheus: Access | None = None
    """Who is asked for the engines' counters in their place: ALLOD_PROMETHEUS_URL, without which they are asked themselves,
    ALLOD_PROMETHEUS_CA_FILE, ALLOD_PROMETHEUS_TOKEN_FILE, and ALLOD_PROMETHEUS_MATCH_LABELS as a JSON object."""

    @property
    def namespace(self) -> str:
        """Where the operator itself runs: its Lease is there."""
        return self.defaults.operator_namespace

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the variables. BadSettings when one is missing or wrong. An empty one counts as not set."""
        given = {name: value.strip() for name, value in environ.items() if value.strip()}
        return cls(
            defaults=_defaults(given),
            namespaces=tuple(part for each in given.get("ALLOD_NAMESPACES", "").split(",") if (part := each.strip())),
            pod_name=given.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}",
            http_host=given.get("ALLOD_HTTP_HOST", ""),
            http_port=_port(given.get("ALLOD_HTTP_PORT", "8080")),
            log_level=_log_level(given.get("ALLOD_LOG_LEVEL", "INFO")),
            prometheus=_prometheus(given),
        )


VARIABLES = {
    "vllm_image": "ALLOD_VLLM_IMAGE",
    "vllm_cpu_image": "ALLOD_VLLM_CPU_IMAGE",
    "llamacpp_image": "ALLOD_LLAMACPP_IMAGE",
    "inspect_image": "ALLOD_INSPECT_IMAGE",
    "cluster_domain": "ALLOD_CLUSTER_DOMAIN",
    "operator_namespace": "POD_NAMESPACE",
}
OPTIONAL = ("cluster_domain", "operator_namespace")


def _defaults(given: Mapping[str, str]) -> Defaults:
    missing = [variable for name, variable in VARIABLES.items() if name not in OPTIONAL and variable not in given]
    if missing:
        raise BadSettings(f"{', '.join(missing)} must be set: the chart does it from its values engines.* and image")
    assert {each.name for each in fields(Defaults)} == VARIABLES.keys()  # noqa: S101  # a new default needs its variable
    return Defaults(**{name: given[variable] for name, variable in VARIABLES.items() if variable in given})


def _prometheus(given: Mapping[str, str]) -> Access | None:
    url, token = given.get("ALLOD_PROMETHEUS_URL", "").rstrip("/"), given.get("ALLOD_PROMETHEUS_TOKEN_FILE", "")
    if not url:
        return None
    parts = urlsplit(url)
    if "@" in parts.netloc:
        # Not with the URL: it would be in the log.
        raise BadSettings("ALLOD_PROMETHEUS_URL has a password in it: use a token, by prometheus.token of the chart")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise BadSettings(f"ALLOD_PROMETHEUS_URL is {url!r}: write http(s)://HOST[:PORT][/PATH]")
    if token and parts.scheme != "https":
        raise BadSettings("ALLOD_PROMETHEUS_URL has to begin with https:// where a token is sent, or whoever is on the way could read it")
    labels = given.get("ALLOD_PROMETHEUS_MATCH_LABELS", "{}")
    return Access(url, given.get("ALLOD_PROMETHEUS_CA_FILE", ""), token, _labels(labels))


def _labels(text: str) -> dict[str, str]:
    try:
        labels = json.loads(text)
    except ValueError:
        labels = None
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise BadSettings(f'ALLOD_PROMETHEUS_MATCH_LABELS is {text!r}: write a JSON object of strings, such as {{"cluster": "zurich"}}')
    return labels


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65535:  # noqa: PLR2004  # the ports of TCP
        raise BadSettings(f"ALLOD_HTTP_PORT is {text!r}: write a port number, such as 8080")
    return int(text)


def _log_level(text: str) -> str:
    if text.upper() not in LOG_LEVELS:
        raise BadSettings(f"ALLOD_LOG_LEVEL is {text!r}: write one of {', '.join(LOG_LEVELS)}")
    return text.upper()
