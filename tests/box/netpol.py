"""NetworkPolicy on one node, by nftables: `python -m box.agent netpol SERVER PKI NODE`. The CNI plugins enforce none.

Each change replaces one table as a whole. Its rules sit in the forward hook after kube-proxy's translation, so they see addresses of
Pods. Traffic between two Pods of one node passes there too, because each Pod hangs on a routed link of its own (CNI `ptp`), not on a
bridge. What the node itself sends, such as the kubelet's probes, does not, and is always allowed, as in other implementations.
The box's DNS server counts as a Pod of kube-system labelled k8s-app=kube-dns, so that usual egress rules hold.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from box import addresses
from box.api import Api, Object
from box.mirror import Mirror, Seen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TABLE = "box_netpol"
DNS: Object = {
    "metadata": {"name": "dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
    "status": {"podIP": addresses.BOX},
    "spec": {
        "containers": [{"ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}, {"name": "dns-tcp", "containerPort": 53}]}]
    },
}


@dataclass(frozen=True)
class Direction:
    """The words of one half of a policy, as the API and nftables say them."""

    kind: str
    rules: str
    peers: str
    own: str
    other: str


INGRESS = Direction("Ingress", "ingress", "from", own="daddr", other="saddr")
EGRESS = Direction("Egress", "egress", "to", own="saddr", other="daddr")


def selected(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes these labels; an empty one takes all."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(term, labels) for term in selector.get("matchExpressions") or ())


def _holds(term: Object, labels: Mapping[str, str]) -> bool:
    has = term["key"] in labels
    named = has and labels[term["key"]] in term.get("values", ())
    return bool({"In": named, "NotIn": not named, "Exists": has, "DoesNotExist": not has}[term["operator"]])


def ruleset(node: str, seen: Seen) -> str:
    """The nftables table for the Pods of that node."""
    pods = [pod for pod in seen["pods"] if _has_address(pod)]
    spaces = {space["metadata"]["name"]: _labels(space) for space in seen["namespaces"]}
    hook, chains = [], []
    for pod in pods:
        if pod["spec"].get("nodeName") != node:
            continue
        for way in (INGRESS, EGRESS):
            policies = [policy["spec"] for policy in seen["policies"] if _applies(policy, pod, way)]
            if not policies:
                continue
            address = pod["status"]["podIP"]
            chain = f"{way.rules}_{address.replace('.', '_')}"
            hook.append(f"ip {way.own} {address} jump {chain}")
            allowed = dict.fromkeys(
                match for spec in policies for rule in spec.get(way.rules) or () for match in _matches(rule, way, pod, [*pods, DNS], spaces)
            )
            chains.append([f"chain {chain} {{", *(f"  {match}return" for match in allowed), "  counter drop", "}"])
    lines = [f"table ip {TABLE}", f"delete table ip {TABLE}", f"table ip {TABLE} {{", *(line for chain in chains for line in chain)]
    forward = [
        "chain forward {",
        "  type filter hook forward priority 10; policy accept;",
        "  ct state established,related accept",
        *hook,
        "}",
        "}",
    ]
    return "\n".join([*lines, *forward]) + "\n"


def _has_address(pod: Object) -> bool:
    return bool(pod["status"].get("podIP") and pod["status"].get("phase") in {"Pending", "Running"} and not pod["spec"].get("hostNetwork"))


def _labels(item: Object) -> Mapping[str, str]:
    return item["metadata"].get("labels") or {}


def _applies(policy: Object, pod: Object, way: Direction) -> bool:
    """Without policyTypes a policy is about ingress, and about egress when it has egress rules."""
    spec = policy["spec"]
    kinds = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    same = policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return same and way.kind in kinds and selected(spec.get("podSelector") or {}, _labels(pod))


def _matches(rule: Object, way: Direction, pod: Object, pods: Sequence[Object], spaces: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """What nftables must see for one rule of a policy, one line for each peer and port."""
    for match, peer in _peers(rule, way, pod, pods, spaces):
        if not rule.get("ports"):
            yield match
        for port in rule.get("ports") or ():
            protocol = port.get("protocol", "TCP").lower()
            if "port" not in port:
                yield f"{match}meta l4proto {protocol} "
            elif number := _port(port, pod if way is INGRESS else peer):
                yield f"{match}{protocol} dport {number} "


def _peers(
    rule: Object, way: Direction, pod: Object, pods: Sequence[Object], spaces: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, Object | None]]:
    """(match, Pod or None for a block of addresses) of each peer; a rule without peers means anyone."""
    if not rule.get(way.peers):
        yield "", None
    for peer in rule.get(way.peers) or ():
        if block := peer.get("ipBlock"):
            but = f"ip {way.other} != {{ {', '.join(block['except'])} }} " if block.get("except") else ""
            yield f"ip {way.other} {block['cidr']} {but}", None
            continue
        for other in pods:
            space = other["metadata"]["namespace"]
            here = (
                selected(peer["namespaceSelector"], spaces.get(space, {}))
                if "namespaceSelector" in peer
                else space == pod["metadata"]["namespace"]
            )
            if here and selected(peer.get("podSelector") or {}, _labels(other)):
                yield f"ip {way.other} {other['status']['podIP']} ", other


def _port(port: Object, listener: Object | None) -> str | None:
    """The number, or the range, of a policy's port at the Pod that listens; None when that Pod has no port of the name."""
    wanted = port["port"]
    if isinstance(wanted, int):
        return f"{wanted}-{port['endPort']}" if "endPort" in port else str(wanted)
    for container in listener["spec"]["containers"] if listener else ():
        for found in container.get("ports") or ():
            if found.get("name") == wanted and found.get("protocol", "TCP") == port.get("protocol", "TCP"):
                return str(found["containerPort"])
    return None


def main(server: str, pki: str, node: str) -> None:
    mirror = Mirror(
        Api(server, Path(pki)),
        pods="/api/v1/pods",
        namespaces="/api/v1/namespaces",
        policies="/apis/networking.k8s.io/v1/networkpolicies",
    )
    told = ""
    for seen in mirror.changes():
        text = ruleset(node, seen)
        if text != told:
            ran = subprocess.run(["nft", "-f", "-"], input=text, capture_output=True, text=True, check=False)
            if ran.returncode:
                print(f"{ran.stderr}\n{text}", file=sys.stderr, flush=True)
            else:
                told = text
