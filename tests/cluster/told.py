"""An operator that is told of the box's Prometheus, as a person would tell it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from box import addresses, pki
from cluster.release import NAMESPACE
from support import prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from box import Box
    from cluster.release import Release

WHERE = f"{addresses.BOX}:{prometheus.PORT}"
OPEN = {"allowFrom": [{"podSelector": {}}, {"ipBlock": {"cidr": f"{addresses.BOX}/32"}}]}
"""Of a model's networkPolicy. Prometheus has the box's own address: it is let in as any client is."""
WORDS = ("upgrade", "allod", "charts/allod", "--namespace", NAMESPACE, "--reuse-values", "--wait")
TOKEN = "t0k3n-of-the-operator"  # noqa: S105  # it opens nothing
NOBODY = {"url": "", "caBundle": {"configMap": ""}, "token": {"secret": ""}}


@contextmanager
def told(release: Release, **values: Any) -> Iterator[None]:
    """Of `prometheus`, a value of the chart, until the end of the block; then the operator asks the engines themselves again."""
    release.helm.run(*WORDS, "--set-json", f"prometheus={json.dumps({'url': f'http://{WHERE}', **values})}")
    try:
        yield
    finally:
        release.helm.run(*WORDS, "--set-json", f"prometheus={json.dumps(NOBODY)}")


@contextmanager
def certified(box: Box, folder: Path) -> Iterator[dict[str, Any]]:
    """Certificates of a company's own authority in that folder, and the value of the chart with them and a token: there until the end."""
    pki.authority(folder, "/CN=company-ca")
    pki.leaf(folder, "prometheus", "/CN=prometheus", f"IP:{addresses.BOX},IP:127.0.0.1")
    try:
        _put(box, "company-ca", "configmap", f"--from-file={folder / 'ca.crt'}")
        _put(box, "prometheus-token", "secret", "generic", f"--from-literal=token={TOKEN}")
        yield {"url": f"https://{WHERE}", "caBundle": {"configMap": "company-ca"}, "token": {"secret": "prometheus-token"}}
    finally:
        for thing in ("configmap/company-ca", "secret/prometheus-token"):
            box.kubectl("delete", thing, "--namespace", NAMESPACE, "--ignore-not-found")


def _put(box: Box, name: str, kind: str, *words: str) -> None:
    """Anew: a run that was killed may have left one."""
    *sort, source = words
    box.kubectl("delete", kind, name, "--namespace", NAMESPACE, "--ignore-not-found")
    box.kubectl("create", kind, *sort, name, source, "--namespace", NAMESPACE)
