"""NetworkPolicy as nftables rules: what the API says, as data."""

from __future__ import annotations

from typing import Any

import pytest

from box.netpol import ruleset, selected

Object = dict[str, Any]


def pod(name: str, address: str, *, node: str = "node1", space: str = "a", ports: tuple[Object, ...] = (), **labels: str) -> Object:
    return {
        "metadata": {"name": name, "namespace": space, "labels": {"app": name, **labels}},
        "spec": {"nodeName": node, "containers": [{"ports": list(ports)}]},
        "status": {"podIP": address, "phase": "Running"},
    }


def seen(*policies: Object) -> dict[str, list[Object]]:
    """web on node1 and its client on node2 in the namespace a, a stranger in b."""
    return {
        "pods": [
            pod("web", "10.0.0.1", ports=({"name": "http", "containerPort": 8000},)),
            pod("client", "10.0.0.2", node="node2"),
            pod("stranger", "10.0.0.3", space="b"),
        ],
        "namespaces": [{"metadata": {"name": name, "labels": {"team": name}}} for name in ("a", "b")],
        "policies": [{"metadata": {"namespace": "a"}, "spec": spec} for spec in policies],
    }


def chain(text: str, name: str) -> list[str]:
    """The rules of one chain of the ruleset."""
    lines = text.splitlines()
    start = lines.index(f"chain {name} {{") + 1
    return [line.strip() for line in lines[start : lines.index("}", start)]]


WEB = {"podSelector": {"matchLabels": {"app": "web"}}}
PORT = [{"port": "http"}]
CASES: dict[str, tuple[Object, list[str]]] = {
    "nobody": ({"policyTypes": ["Ingress"]}, []),
    "anyone": ({"ingress": [{}]}, ["return"]),
    "pods of the namespace": ({"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}]}]}, ["ip saddr 10.0.0.2 return"]),
    "an empty selector is all of the namespace": (
        {"ingress": [{"from": [{"podSelector": {}}]}]},
        ["ip saddr 10.0.0.1 return", "ip saddr 10.0.0.2 return"],
    ),
    "another namespace": ({"ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "b"}}}]}]}, ["ip saddr 10.0.0.3 return"]),
    "both selectors must hold": (
        {"ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "b"}}, "podSelector": {"matchLabels": {"app": "client"}}}]}]},
        [],
    ),
    "a named port": ({"ingress": [{"ports": PORT}]}, ["tcp dport 8000 return"]),
    "a named port that the pod has not": ({"ingress": [{"ports": [{"port": "grpc"}]}]}, []),
    "a range of ports": ({"ingress": [{"ports": [{"port": 8000, "endPort": 8010, "protocol": "UDP"}]}]}, ["udp dport 8000-8010 return"]),
    "a protocol": ({"ingress": [{"ports": [{"protocol": "SCTP"}]}]}, ["meta l4proto sctp return"]),
    "a block with a hole": (
        {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}]},
        ["ip saddr 10.0.0.0/8 ip saddr != { 10.1.0.0/16 } return"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_ingress_lets_in_exactly(case: str) -> None:
    rules, allowed = CASES[case]
    assert chain(ruleset("node1", seen({**WEB, **rules})), "ingress_10_0_0_1") == [*allowed, "counter drop"]


def test_a_pod_without_a_policy_is_not_filtered() -> None:
    assert "jump" not in ruleset("node1", seen())


def test_only_pods_of_the_own_node_are_filtered() -> None:
    text = ruleset("node2", seen({"podSelector": {}, "policyTypes": ["Ingress"]}))
    assert [line for line in text.splitlines() if "jump" in line] == ["ip daddr 10.0.0.2 jump ingress_10_0_0_2"]


def test_egress_to_the_cluster_dns_is_egress_to_its_pods() -> None:
    dns = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}
    text = ruleset("node1", seen({**WEB, "policyTypes": ["Egress"], "egress": [{"to": [dns], "ports": [{"port": 53, "protocol": "UDP"}]}]}))
    assert chain(text, "egress_10_0_0_1") == ["ip daddr 10.199.0.1 udp dport 53 return", "counter drop"]


@pytest.mark.parametrize(
    ("operator", "values", "labels", "takes"),
    [
        ("In", ["x", "y"], {"k": "y"}, True),
        ("In", ["x"], {}, False),
        ("NotIn", ["x"], {"k": "x"}, False),
        ("NotIn", ["x"], {}, True),
        ("Exists", [], {"k": ""}, True),
        ("Exists", [], {}, False),
        ("DoesNotExist", [], {"k": "x"}, False),
        ("DoesNotExist", [], {}, True),
    ],
)
def test_a_selector_term_takes_what_kubernetes_says(operator: str, values: list[str], labels: dict[str, str], *, takes: bool) -> None:
    assert selected({"matchExpressions": [{"key": "k", "operator": operator, "values": values}]}, labels) is takes
