from __future__ import annotations

import urllib.request
from functools import partial
from typing import TYPE_CHECKING

import pytest

from box import Box, busybox, waiting
from box.errors import NotThere, Taken
from cluster.space import Manifest, Space, answers, pod, server, service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

A, B, WEB = "http://a.peers:8000", "http://b.peers:8000", "http://web"


@pytest.fixture(scope="module")
def two_servers(box: Box) -> Iterator[Space]:
    """a and b on different nodes behind the Services `web` and, headless, `peers`; a client and a stranger."""
    box.load([busybox.image()])
    space = Space.make(box, "box-network")
    space.apply(service("web", "web"), service("peers", "web", clusterIP="None"))
    space.run(
        server("a", nodeName="node1", labels={"app": "web"}, hostname="a", subdomain="peers"),
        server("b", nodeName="node2", labels={"app": "web"}, hostname="b", subdomain="peers"),
        pod("client", nodeName="node1", labels={"role": "client"}),
        pod("stranger", nodeName="node2"),
    )
    for url in (A, B, WEB):  # names and translations follow readiness within a second
        waiting.until(f"{url} answers", partial(answers, space, "client", url), seconds=10)
    yield space
    space.delete()


@pytest.fixture
def apply_policy(two_servers: Space) -> Iterator[Callable[[Manifest], None]]:
    """Applies a policy that is gone again when the test has ended."""
    yield two_servers.apply
    two_servers.kubectl("delete", "networkpolicies", "--all")
    waiting.until("the client reaches b again", partial(answers, two_servers, "client", B), seconds=10)


def policy(name: str, **spec: object) -> Manifest:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize(
    ("name", "who"),
    [("web", {"a", "b"}), ("web.box-network.svc.cluster.local", {"a", "b"}), ("a.peers:8000", {"a"}), ("b.peers:8000", {"b"})],
)
def test_services_and_single_pods_are_found_by_name(two_servers: Space, name: str, who: set[str]) -> None:
    assert two_servers.inside("client", f"wget -q -O - http://{name}/").strip() in who


def test_a_name_that_does_not_exist_fails_at_once(two_servers: Space) -> None:
    assert "NXDOMAIN" in two_servers.inside("client", "nslookup nobody.default.svc.cluster.local 2>&1 || true")


def test_a_door_reaches_a_service_from_the_machine(two_servers: Space, box: Box) -> None:
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


def test_a_policy_that_denies_all_holds_on_the_same_node_and_across_nodes(
    two_servers: Space, apply_policy: Callable[[Manifest], None]
) -> None:
    apply_policy(policy("deny", podSelector={}, policyTypes=["Ingress"]))
    waiting.until("nothing answers", lambda: not any(answers(two_servers, "client", url) for url in (A, B, WEB)), seconds=15)


def test_a_policy_lets_the_named_port_of_chosen_pods_through(two_servers: Space, apply_policy: Callable[[Manifest], None]) -> None:
    allowed = [{"from": [{"podSelector": {"matchLabels": {"role": "client"}}}], "ports": [{"port": "http"}]}]
    apply_policy(policy("clients", podSelector={"matchLabels": {"app": "web"}}, ingress=allowed))
    waiting.until("the stranger is kept out", lambda: not any(answers(two_servers, "stranger", url) for url in (A, B)), seconds=15)
    assert all(answers(two_servers, "client", url) for url in (A, B, WEB))


def test_a_policy_on_egress_may_leave_only_names(two_servers: Space, apply_policy: Callable[[Manifest], None]) -> None:
    dns = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    egress = [{"to": [dns], "ports": [{"port": 53, "protocol": "UDP"}]}]
    apply_policy(policy("names", podSelector={"matchLabels": {"role": "client"}}, policyTypes=["Egress"], egress=egress))
    waiting.until("the client is shut in", lambda: not answers(two_servers, "client", B), seconds=15)
    assert "10.201." in two_servers.inside("client", f"nslookup web.{two_servers.name}.svc.cluster.local")


def test_a_cut_cable_parts_the_nodes_until_it_is_mended(two_servers: Space, box: Box) -> None:
    box.link("node2", up=False)
    try:
        assert not answers(two_servers, "client", B)
        assert answers(two_servers, "client", A)
    finally:
        box.link("node2", up=True)
    waiting.until("b answers again", partial(answers, two_servers, "client", B), seconds=10)
