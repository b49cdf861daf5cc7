"""How to reach the API server: the pod's service account when there is one, else the person's kubeconfig. One login for both clients."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from allod.adapters.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Credentials:
    """What any HTTP client needs to talk to the API server."""

    server: str
    """https://HOST:PORT. In a pod an IP address, so that cluster DNS is not in the way."""
    ca_path: str | None
    verify: bool
    certificate_path: str | None
    private_key_path: str | None
    token: str | None = field(repr=False)
    """Bearer token at this moment; the kubelet rotates it hourly."""


Login: TypeAlias = Callable[[], Awaitable[Credentials]]
"""Called again whenever credentials are needed afresh."""


async def configure() -> Configuration:
    """Read the service account of this pod, or the kubeconfig at $KUBECONFIG or ~/.kube/config.

    Unavailable when there is neither: the sentence says what to set.
    """
    configuration = Configuration()
    in_pod = bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and not os.environ.get("KUBECONFIG")
    try:
        if in_pod:
            load_incluster_config(configuration)  # type: ignore[no-untyped-call]  # kubernetes.aio.config has no annotations
        else:
            await load_kube_config(  # type: ignore[no-untyped-call]  # kubernetes.aio.config has no annotations
                config_file=os.environ.get("KUBECONFIG"), client_configuration=configuration, persist_config=False
            )
    except (ConfigException, OSError) as problem:
        why = (
            "the service account of this pod cannot be used, automountServiceAccountToken must not be false"
            if in_pod
            else "not in a pod, and the kubeconfig cannot be used"
        )
        raise Unavailable(f"no way to the API server: {why} ({problem})") from problem
    return configuration


def login(configuration: Configuration) -> Login:
    """Credentials for another client, from the same source: its token is as fresh as ours."""

    async def credentials() -> Credentials:
        header = await configuration.get_api_key_with_prefix("BearerToken") or ""
        return Credentials(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            verify=bool(configuration.verify_ssl),
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
            token=header.rpartition(" ")[2] or None,
        )

    return credentials
