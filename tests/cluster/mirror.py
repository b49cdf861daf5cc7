"""A mirror of the Hugging Face hub as a company has one: in a Pod, with a certificate of the company's own authority, for a token."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from box import pki
from box.image import operatorimage
from cluster.models import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.space import Space

Manifest = dict[str, Any]
PROGRAM = Path(__file__).parents[1] / "support" / "hub.py"
HTTPS = 443
OTHER = 8443
"""The mirror answers here too, and the policy of no model opens this port."""
REQUEST = re.compile(r'"(GET|HEAD) (\S+) HTTP/1\.1" (\d+)')


@dataclass(frozen=True)
class Mirror:
    """One repository at one commit."""

    space: Space
    authority: Path
    """The company's certificate."""
    token: str

    @classmethod
    def make(cls, space: Space, node: str, folder: Path, repository: str, commit: str) -> Mirror:
        """Returns when it answers. Its files are those that the tests of vLLM put on that node."""
        made = cls(space, folder / "ca.crt", "hf_right")
        pki.authority(folder, "/CN=company-ca")
        pki.leaf(folder, "hub", "/CN=hub", f"DNS:{made.host}")
        space.kubectl("create", "secret", "tls", "hub-tls", f"--cert={folder / 'hub.crt'}", f"--key={folder / 'hub.key'}")
        space.kubectl("create", "configmap", "hub", f"--from-file={PROGRAM}")
        space.apply(_service())
        space.run(made.pod(node, repository, commit))
        return made

    @property
    def host(self) -> str:
        """Its name, as its certificate has it."""
        return f"hub.{self.space.name}.svc.cluster.local"

    def requests(self) -> list[tuple[str, int]]:
        """(path, status) of each, oldest first."""
        return [(path, int(status)) for _, path, status in self._log()]

    def downloads(self, file: str) -> int:
        """How often it was sent as a whole."""
        return sum((method, status) == ("GET", "200") and path.endswith(f"/{file}") for method, path, status in self._log())

    def _log(self) -> list[tuple[str, str, str]]:
        return REQUEST.findall(self.space.kubectl("logs", "hub", "-c", "https"))

    @contextmanager
    def away(self) -> Iterator[None]:
        """Meanwhile its Service leads to nobody."""
        try:
            self._leads_to("nobody")
            yield
        finally:
            self._leads_to("hub")

    def _leads_to(self, app: str) -> None:
        self.space.kubectl("patch", "service", "hub", "--patch", json.dumps({"spec": {"selector": {"app": app}}}))

    def pod(self, node: str, repository: str, commit: str) -> Manifest:
        """Each port is a process of its own."""
        command = ["/opt/allod/bin/python", "/hub/hub.py", "/models", repository, commit]
        files = [*command, "--certificate=/tls/tls.crt", "--key=/tls/tls.key"]
        env = [{"name": "HUB_TOKEN", "value": self.token}, {"name": "HUB_STRANGER", "value": "hf_stranger"}]
        mounts = {"hub": "/hub", "tls": "/tls", "models": "/models"}
        each = {"env": env, "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts.items()]}
        containers = [
            {
                "name": name,
                "image": operatorimage.IMAGE_NAME,
                "command": [*files, f"--port={port}"],
                "ports": [{"containerPort": port}],
                # Not for readiness: while engines start on the same two cores an answer may take seconds.
                "startupProbe": {"httpGet": {"path": "/", "port": port, "scheme": "HTTPS"}, "periodSeconds": 1, "failureThreshold": 60},
                **each,
            }
            for name, port in (("https", HTTPS), ("other", OTHER))
        ]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "hub", "labels": {"app": "hub"}},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "nodeSelector": {"kubernetes.io/hostname": node},
                "securityContext": {"runAsUser": 0},  # for port 443
                "containers": containers,
                "volumes": [
                    {"name": "hub", "configMap": {"name": "hub"}},
                    {"name": "tls", "secret": {"secretName": "hub-tls"}},
                    {"name": "models", "hostPath": {"path": FOLDER}},
                ],
            },
        }


def _service() -> Manifest:
    ports = [{"name": f"https-{port}", "port": port} for port in (HTTPS, OTHER)]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hub"}, "spec": {"selector": {"app": "hub"}, "ports": ports}}
