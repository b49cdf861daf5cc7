"""The command lines of the control plane's programs. A flag without a word beside it is required, or its name says all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from box.addresses import SERVICES

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Listening:
    """Where the programs of a control plane listen."""

    api: int
    """Port of the API server."""
    etcd: int = 2379
    etcd_peer: int = 2380
    controller_manager: int = 10257
    scheduler: int = 10259
    advertise: str | None = None
    """The API server's address for Pods. None: it listens on loopback only, which may not be an endpoint of the Service `kubernetes`."""

    @property
    def server(self) -> str:
        """How the components reach the API server."""
        return f"https://{self.advertise or '127.0.0.1'}:{self.api}"


def flags(name: str, at: Listening, state: Path) -> list[str]:
    """The flags of one of the four programs, whose files lie in `state`."""
    by_name = {"etcd": etcd, "kube-apiserver": apiserver, "kube-controller-manager": controller_manager, "kube-scheduler": scheduler}
    return [f"--{flag}={value}" for flag, value in by_name[name](at, state).items()]


def etcd(at: Listening, state: Path) -> dict[str, object]:
    peer = f"http://127.0.0.1:{at.etcd_peer}"
    client = f"http://127.0.0.1:{at.etcd}"
    return {
        "data-dir": state / "etcd",
        "unsafe-no-fsync": "true",  # a box that crashes is thrown away
        "log-level": "warn",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
    }


def apiserver(at: Listening, state: Path) -> dict[str, object]:
    pki = state / "pki"
    reach = (
        {
            "bind-address": "0.0.0.0",
            "advertise-address": at.advertise,
            "kubelet-preferred-address-types": "InternalIP",
            "kubelet-client-certificate": pki / "admin.crt",
            "kubelet-client-key": pki / "admin.key",
            "kubelet-certificate-authority": pki / "ca.crt",
        }
        if at.advertise
        else {"bind-address": "127.0.0.1", "endpoint-reconciler-type": "none"}
    )
    return {
        "etcd-servers": f"http://127.0.0.1:{at.etcd}",
        "secure-port": at.api,
        **reach,
        "service-cluster-ip-range": SERVICES,
        "client-ca-file": pki / "ca.crt",
        "tls-cert-file": pki / "apiserver.crt",
        "tls-private-key-file": pki / "apiserver.key",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": pki / "sa.pub",
        "service-account-signing-key-file": pki / "sa.key",
        # For aggregated APIs; without them the controller manager logs errors for ever.
        "requestheader-client-ca-file": pki / "ca.crt",
        "requestheader-allowed-names": "front-proxy",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": pki / "front-proxy.crt",
        "proxy-client-key-file": pki / "front-proxy.key",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",  # added to the default ones, of which PodSecurity is one
        "allow-privileged": "true",
    }


def controller_manager(at: Listening, state: Path) -> dict[str, object]:
    pki = state / "pki"
    return {
        **_client(pki / "controller-manager.conf", at.controller_manager),
        "cert-dir": state / "certificates",
        "root-ca-file": pki / "ca.crt",
        "service-account-private-key-file": pki / "sa.key",
        "use-service-account-credentials": "true",
        "cluster-signing-cert-file": pki / "ca.crt",
        "cluster-signing-key-file": pki / "ca.key",
        "flex-volume-plugin-dir": state / "flex",  # the default would be made under the machine's /usr/libexec
        "node-monitor-grace-period": "20s",  # a crashed node is NotReady after 23 s, not 50
    }


def scheduler(at: Listening, state: Path) -> dict[str, object]:
    return {**_client(state / "pki/scheduler.conf", at.scheduler), "cert-dir": state / "certificates"}


def _client(config: Path, port: int) -> dict[str, object]:
    return {
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "bind-address": "127.0.0.1",
        "secure-port": port,
        "leader-elect": "false",
        # With the default of 20 requests a second its start takes 4.4 s and the first ServiceAccount comes after 6 s; so 1.5 s.
        "kube-api-qps": 500,
        "kube-api-burst": 500,
    }
