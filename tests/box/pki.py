"""Certificates and kubeconfigs of one cluster, by openssl: elliptic keys, so that the whole set takes half a second.

Python 3.13 and later verify strictly: without the critical keyUsage of the authority and the two key identifiers of each
leaf they refuse with "CA cert does not include key usage extension".
"""

from __future__ import annotations

import base64
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from box import prerequisites
from box.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

DAYS = "30"
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")
SERVER_NAMES = (
    "DNS:kubernetes",
    "DNS:kubernetes.default",
    "DNS:kubernetes.default.svc",
    "DNS:kubernetes.default.svc.cluster.local",
    "DNS:localhost",
    "IP:127.0.0.1",
)
CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "front-proxy": "/CN=front-proxy",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "proxy": "/CN=system:kube-proxy",
}


def make(folder: Path, *, server_addresses: Sequence[str] = (), nodes: Mapping[str, str] | None = None) -> None:
    """Writes NAME.crt and NAME.key for the authority, the API server, each client and each node (name: address); sa.key and sa.pub."""
    authority(folder, "/CN=box-ca")
    leaves = {name: (subject, "") for name, subject in CLIENTS.items()}
    leaves["apiserver"] = ("/CN=kube-apiserver", ",".join((*SERVER_NAMES, *(f"IP:{address}" for address in server_addresses))))
    for name, address in (nodes or {}).items():
        leaves[name] = (f"/O=system:nodes/CN=system:node:{name}", f"DNS:{name},IP:{address}")
    with ThreadPoolExecutor() as pool:
        made = [pool.submit(leaf, folder, name, subject, names) for name, (subject, names) in leaves.items()]
        made.append(pool.submit(_service_account_keys, folder))
        for one in made:
            one.result()


def authority(folder: Path, subject: str) -> None:
    """Writes ca.crt and ca.key, by which `leaf` signs."""
    prerequisites.check("Making certificates", {"openssl": "openssl"})
    folder.mkdir(parents=True, exist_ok=True)
    # The system's openssl.cnf adds extensions of its own to `req -x509`: an empty one does not.
    (folder / "openssl.cnf").write_text("[req]\ndistinguished_name = none\n[none]\n")
    extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign", "subjectKeyIdentifier=hash")
    _certificate(folder, "ca", subject, extensions)


def leaf(folder: Path, name: str, subject: str, names: str) -> None:
    """Writes NAME.crt and NAME.key for a client or a server, whose names are `DNS:hub,IP:10.0.0.1`."""
    extensions = [
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
        "extendedKeyUsage=serverAuth,clientAuth",
        "subjectKeyIdentifier=hash",
        "authorityKeyIdentifier=keyid",
        *([f"subjectAltName={names}"] if names else []),
    ]
    _certificate(folder, name, subject, extensions, "-CA", "ca.crt", "-CAkey", "ca.key")


def kubeconfig(path: Path, *, pki: Path, user: str, server: str) -> Path:
    """A kubeconfig with the keys inside it, readable by its owner alone."""

    def inside(name: str) -> str:
        return base64.b64encode((pki / name).read_bytes()).decode()

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "box",
        "clusters": [{"name": "box", "cluster": {"server": server, "certificate-authority-data": inside("ca.crt")}}],
        "users": [{"name": "box", "user": {"client-certificate-data": inside(f"{user}.crt"), "client-key-data": inside(f"{user}.key")}}],
        "contexts": [{"name": "box", "context": {"cluster": "box", "user": "box", "namespace": "default"}}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=1))
    return path


def _certificate(folder: Path, name: str, subject: str, extensions: Sequence[str], *issuer: str) -> None:
    added = (word for extension in extensions for word in ("-addext", extension))
    files = ("-keyout", f"{name}.key", "-out", f"{name}.crt")
    _openssl(
        folder, "req", "-config", "openssl.cnf", "-x509", *NEW_KEY, "-sha256", "-days", DAYS, "-subj", subject, *files, *added, *issuer
    )


def _service_account_keys(folder: Path) -> None:
    _openssl(folder, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", "sa.key")
    _openssl(folder, "pkey", "-in", "sa.key", "-pubout", "-out", "sa.pub")


def _openssl(folder: Path, *args: str) -> None:
    ran = subprocess.run(["openssl", *args], cwd=folder, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Failed(f"openssl {args[0]} failed: {ran.stderr.strip()}", "openssl 3.0 or later is needed: openssl version")
