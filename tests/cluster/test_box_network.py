from __future__ import annotations

import urllib.request

import pytest

from box import Box, waiting
from box.errors import NotThere, Taken
from cluster.space import Manifest, Space, answers, pod, server, service


@pytest.fixture
def two_servers(space: Space) -> Space:
    """a and b on different nodes behind the Services `web` and, headless, `peers`; and a client on a's node."""
    space.run(
        server("a", nodeName="node1", labels={"app": "web"}, hostname="a", subdomain="peers"),
        server("b", nodeName="node2", labels={"app": "web"}, hostname="b", subdomain="peers"),
        pod("client", nodeName="node1", labels={"role": "client"}),
    )
    space.apply(service("web", "web"), service("peers", "web", clusterIP="None"))
    return space


def policy(name: str, **spec: object) -> Manifest:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec}


def test_names_of_services_and_of_single_pods_are_found_in_a_pod(two_servers: Space) -> None:
    names = {"web": {"a", "b"}, f"web.{two_servers.name}.svc.cluster.local": {"a", "b"}, "a.peers": {"a"}, "b.peers": {"b"}}
    for name, who in names.items():
        port = "" if name.startswith("web") else ":8000"
        url = f"http://{name}{port}/"
        waiting.until(f"{url} answers", lambda url=url: answers(two_servers, "client", url), seconds=10)  # type: ignore[misc]  # a lambda's default
        assert two_servers.inside("client", f"wget -q -O - {url}").strip() in who


def test_a_name_that_does_not_exist_fails_at_once(two_servers: Space) -> None:
    assert "NXDOMAIN" in two_servers.inside("client", "nslookup nobody.default.svc.cluster.local 2>&1 || true")


def test_a_door_reaches_a_service_from_the_machine(two_servers: Space, box: Box) -> None:
    waiting.until("the Service answers", lambda: answers(two_servers, "client", "http://web"), seconds=10)
    door = box.open(f"web.{two_servers.name}:80")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{door.port}/", timeout=10) as answer:
            assert answer.read().decode().strip() in {"a", "b"}
        with pytest.raises(Taken, match=f"Port {door.port} of 127.0.0.1 is taken"):
            box.open(f"web.{two_servers.name}:80", door.port)
        assert door in box.doors()
    finally:
        door.close()
    assert door not in box.doors()


def test_a_door_to_nowhere_is_refused(box: Box) -> None:
    with pytest.raises(NotThere, match=r"no nobody\.default"):
        box.open("nobody.default:80")


def test_a_policy_that_denies_all_holds_on_the_same_node_and_across_nodes(two_servers: Space) -> None:
    for url in ("http://a.peers:8000", "http://b.peers:8000"):
        waiting.until(f"{url} answers", lambda url=url: answers(two_servers, "client", url), seconds=10)  # type: ignore[misc]  # a lambda's default
    two_servers.apply(policy("deny", podSelector={}, policyTypes=["Ingress"]))
    waiting.until(
        "nothing answers",
        lambda: not any(answers(two_servers, "client", url) for url in ("http://a.peers:8000", "http://b.peers:8000", "http://web")),
        seconds=10,
    )


def test_a_policy_lets_the_named_port_of_chosen_pods_through(two_servers: Space) -> None:
    two_servers.run(pod("stranger", nodeName="node2"))
    allowed = [{"from": [{"podSelector": {"matchLabels": {"role": "client"}}}], "ports": [{"port": "http"}]}]
    two_servers.apply(policy("clients", podSelector={"matchLabels": {"app": "web"}}, ingress=allowed))
    waiting.until("the stranger is kept out", lambda: not answers(two_servers, "stranger", "http://b.peers:8000"), seconds=10)
    assert not answers(two_servers, "stranger", "http://a.peers:8000")
    assert answers(two_servers, "client", "http://b.peers:8000")
    assert answers(two_servers, "client", "http://web")


def test_a_policy_on_egress_may_leave_only_names(two_servers: Space) -> None:
    dns = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    egress = [{"to": [dns], "ports": [{"port": 53, "protocol": "UDP"}]}]
    two_servers.apply(policy("names", podSelector={"matchLabels": {"app": "client"}}, policyTypes=["Egress"], egress=egress))
    waiting.until("the client is shut in", lambda: not answers(two_servers, "client", "http://b.peers:8000"), seconds=10)
    assert "10.201." in two_servers.inside("client", f"nslookup web.{two_servers.name}.svc.cluster.local")


def test_a_cut_cable_parts_the_nodes_until_it_is_mended(two_servers: Space, box: Box) -> None:
    waiting.until("b answers", lambda: answers(two_servers, "client", "http://b.peers:8000"), seconds=10)
    box.link("node2", up=False)
    try:
        assert not answers(two_servers, "client", "http://b.peers:8000")
        assert answers(two_servers, "client", "http://a.peers:8000")
    finally:
        box.link("node2", up=True)
    waiting.until("b answers again", lambda: answers(two_servers, "client", "http://b.peers:8000"), seconds=10)
