"""What is rendered once for all pods of a model, while its spec asks for one revision and another one serves for good."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from allod.domain.manifest import Ref
from allod.domain.names import RANK
from allod.domain.serving.decide import decide
from allod.render.monitoring import podmonitor, prometheusrule
from allod.render.serving.plan import plan
from unit.domain.simulation import World, companion, hung, ready, refused

LLAMACPP = {"engine": {"type": "LlamaCpp"}, "model": {"uri": "pvc://models/chat.gguf"}, "resources": {"memory": "32Gi"}}
VLLM = {"engine": {"type": "vLLM"}, "model": {"uri": "pvc://models/smollm2"}, "resources": {"gpu": {"count": 1}, "memory": "32Gi"}}
HUB = {"model": {"uri": "hf://org/name"}}
MOUNTED = {"model": {"uri": "pvc://models/smollm2"}}
ONE = {"nodes": 1, "parallelism": {"tensor": 1}}
TWO = {"nodes": 2, "parallelism": {"tensor": 2}}


def given_up(old: dict[str, Any], new: dict[str, Any]) -> World:
    """A serves as `old`, the spec says `new`, and B was given up."""
    world = World(apis=frozenset({podmonitor.API, prometheusrule.API}))
    world.spec |= old
    world.settle()
    world.engine = lambda letter: refused() if letter == "B" else ready()
    world.edit(**new)
    world.settle()
    assert (world.route, world.state("B")) == ("A", "Failed")
    return world


def child(world: World, api: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = world.children[Ref(api, kind, "ai", "chat")]["spec"]
    return found


def way_out(world: World) -> set[int]:
    rules = child(world, "networking.k8s.io/v1", "NetworkPolicy")["egress"]
    return {port["port"] for rule in rules for port in rule.get("ports", ())}


def each_other(world: World) -> bool:
    return any("ports" not in rule for rule in child(world, "networking.k8s.io/v1", "NetworkPolicy")["ingress"])


def alerts(world: World) -> list[str]:
    (group,) = child(world, "monitoring.coreos.com/v1", "PrometheusRule")["groups"]
    return [rule["alert"] for rule in group["rules"] if "alert" in rule]


@pytest.mark.parametrize(("old", "new"), [(HUB, MOUNTED), (MOUNTED, HUB)], ids=["it serves", "it may be tried again"])
def test_the_hub_can_be_reached_while_a_revision_that_downloads_has_pods_or_may_get_some(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert 443 in way_out(given_up(old, new))


def test_the_way_to_the_hub_is_closed_once_nothing_downloads_any_more() -> None:
    world = World()
    world.spec |= HUB
    world.settle()
    world.edit(**MOUNTED)
    assert world.settle()[-1] == "A: gone"
    assert way_out(world) == {53, 5353}


def test_a_revision_whose_record_was_deleted_still_reaches_the_hub() -> None:
    world = given_up(HUB, MOUNTED)
    for name in [name for name in world.children if name.kind == "ControllerRevision"]:
        del world.children[name]
    world.settle()
    assert (world.route, 443 in way_out(world)) == ("A", True)


@pytest.mark.parametrize(("old", "new"), [(TWO, ONE), (ONE, TWO)], ids=["groups serve", "groups are wanted"])
def test_no_pod_outside_a_group_reaches_its_ranks_while_there_are_groups(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert not each_other(given_up(old, new))


def test_ranks_without_a_page_are_not_scraped_while_they_serve_though_the_spec_wants_single_pods() -> None:
    (endpoint,) = child(given_up(TWO, ONE), "monitoring.coreos.com/v1", "PodMonitor")["podMetricsEndpoints"]
    (drop,) = endpoint["relabelings"]
    assert drop["sourceLabels"][1].endswith(RANK.replace(".", "_").replace("/", "_").replace("-", "_"))


@pytest.mark.parametrize(("old", "new"), [(VLLM, LLAMACPP), (LLAMACPP, VLLM)], ids=["vLLM serves", "llama.cpp serves"])
def test_alerts_are_about_every_engine_that_runs(old: dict[str, Any], new: dict[str, Any]) -> None:
    world = given_up(old, new)
    found = alerts(world)
    assert {"AllodEngineHung", "AllodPreemptions", "AllodTooManyErrors", "AllodSaturated", "AllodGPUsMissing"} <= {*found}
    assert found.count("AllodSaturated") == 1


def test_alerts_of_an_engine_end_with_its_last_revision() -> None:
    world = World(apis=frozenset({prometheusrule.API}))
    world.spec |= VLLM
    world.settle()
    world.edit(**LLAMACPP)
    assert world.settle()[-1] == "A: gone"
    assert "AllodEngineHung" not in alerts(world)


@pytest.mark.parametrize(("old", "new"), [(HUB, MOUNTED), (TWO, ONE), (VLLM, LLAMACPP)], ids=["hub", "nodes", "engine"])
def test_nothing_is_written_while_nothing_changes(old: dict[str, Any], new: dict[str, Any]) -> None:
    world = given_up(old, new)
    before = dict(world.children)
    made = world.reconcile()
    assert (made.delete, made.status, world.children) == ((), world.status, before)


def test_clients_reach_the_standby_and_alerts_stand_when_nobody_remembers_a_revision() -> None:
    world = World(apis=frozenset({prometheusrule.API}), companion=companion())
    world.spec |= {"standby": {"modelDeploymentRef": {"name": "chat-small"}}}
    world.settle()
    world.engine = lambda _: hung()
    assert world.settle() == ["route chat-small"]
    seen = world.seen
    forgotten = replace(decide(seen, world.now), home=None, allocation={}, revisions=())
    steps = plan(seen, forgotten)
    around = {"chat", "chat.standby"}
    assert {each["metadata"]["name"] for each in steps.objects if each["kind"] == "NetworkPolicy"} == around
    assert "PrometheusRule" in {each["kind"] for each in steps.objects}
    assert {each.kind for each in steps.delete}.isdisjoint({"NetworkPolicy", "PrometheusRule"})
