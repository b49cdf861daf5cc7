"""Cluster DNS: dnsmasq answers, this agent tells it the names. `python -m box.agent dns SERVER PKI HOSTS-FILE DNSMASQ-PID-FILE`

    NAME.NAMESPACE.svc.cluster.local            the cluster address, or every ready pod for a headless Service
    POD.NAME.NAMESPACE.svc.cluster.local        each pod with a host name (StatefulSet) behind a headless Service

Outside names fail at once and unknown ones are NXDOMAIN. There are no SRV records and no reverse lookups.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from box import addresses
from box.api import Api, Object
from box.mirror import Mirror

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ZONE = "cluster.local"


def dnsmasq(hosts: Path, pid_file: Path) -> list[str | Path]:
    """Its command line: no configuration of the machine's is read, and nothing is forwarded."""
    return [
        "dnsmasq",
        "--keep-in-foreground",
        "--user=root",
        "--conf-file=/dev/null",
        f"--pid-file={pid_file}",
        "--no-resolv",
        "--no-hosts",
        f"--addn-hosts={hosts}",
        f"--local=/{ZONE}/",
        f"--listen-address={addresses.BOX}",
        "--bind-interfaces",
        "--cache-size=0",
        "--log-facility=-",
    ]


def names(services: Sequence[Object], slices: Sequence[Object]) -> Iterator[tuple[str, str]]:
    """(address, name) of everything that has a name."""
    headless: dict[str, bool] = {}
    for service in services:
        spec, name = service["spec"], _full(service, service["metadata"]["name"])
        if spec.get("clusterIP") == "None":
            headless[name] = spec.get("publishNotReadyAddresses", False)
        elif spec.get("clusterIP"):
            yield spec["clusterIP"], name
    for piece in slices:
        name = _full(piece, piece["metadata"].get("labels", {}).get("kubernetes.io/service-name", ""))
        if name in headless:
            yield from _members(name, piece, unready=headless[name])


def _members(name: str, piece: Object, *, unready: bool) -> Iterator[tuple[str, str]]:
    for endpoint in piece.get("endpoints") or ():
        if endpoint.get("conditions", {}).get("ready") is False and not unready:
            continue
        for address in endpoint["addresses"]:
            yield address, name
            if endpoint.get("hostname"):
                yield address, f"{endpoint['hostname']}.{name}"


def _full(item: Object, name: str) -> str:
    return f"{name}.{item['metadata']['namespace']}.svc.{ZONE}"


def lookup(hosts: Path, host: str) -> list[str]:
    """The addresses of SERVICE.NAMESPACE or POD.SERVICE.NAMESPACE in a hosts file that this agent wrote."""
    lines = (line.split() for line in hosts.read_text().splitlines())
    return [address for address, name in lines if name == f"{host}.svc.{ZONE}"]


def main(server: str, pki: str, hosts: str, pid_file: str) -> None:
    mirror = Mirror(Api(server, Path(pki)), services="/api/v1/services", slices="/apis/discovery.k8s.io/v1/endpointslices")
    told: list[str] = []
    for seen in mirror.changes():
        lines = sorted({f"{address} {name}\n" for address, name in names(seen["services"], seen["slices"])})
        if lines != told:
            unfinished = Path(hosts + ".part")
            unfinished.write_text("".join(lines))
            unfinished.replace(hosts)
            os.kill(int(Path(pid_file).read_text()), signal.SIGHUP)
            told = lines
