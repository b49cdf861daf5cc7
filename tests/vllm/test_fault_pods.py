"""What goes wrong with a real vLLM that serves, while a client talks to it all the time: who answers, what is lost, and what is said of it.

One model goes through all of it, in this order: a start takes up to a minute.
"""

from __future__ import annotations

import re
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from box import containers, waiting
from cluster import edge
from cluster.models import HANG, client
from cluster.scene import RATE, Scene
from cluster.space import Space
from cluster.told import OPEN, told
from support.prometheus import Prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from box import Box
    from cluster.release import Release

START = 400
"""Seconds: 50 were measured on two idle cores, 280 where twenty processes wanted them."""
HOLD = 3
SLOS = [
    {"name": "errors", "metric": "ErrorRatio", "threshold": "0.1", "window": "30s", "minRequests": 20},
    {"name": "first", "metric": "TTFTSeconds", "quantile": "0.5", "threshold": "0.3", "window": "30s", "minRequests": 20},
]
HEALTH = {"hangTimeout": f"{HANG}s", "startupTimeout": "10m", "drainTimeout": "2s", "failover": {"holdFor": f"{HOLD}s"}}
OBJECTIVES = HEALTH | {"slos": SLOS}
AT_ONCE = {"bake": "0s"}
"""The first revision is good as soon as it serves."""
FRANCE = "What is the capital of France?"


@pytest.fixture(scope="module")
def scene(box: Box, vllm_node: str, _busybox: None) -> Iterator[Scene]:
    """It serves, and nobody stands by."""
    space = Space.make(box, "fault-pods")
    found = Scene.set(box, space, vllm_node, health=OBJECTIVES, rollout=AT_ONCE, networkPolicy=OPEN)
    found.model.wait("Ready", "True", seconds=START)
    yield found
    space.delete()


@pytest.fixture(scope="module")
def prometheus(box: Box, scene: Scene) -> Iterator[Prometheus]:  # noqa: ARG001  its PodMonitor and its rules must be there
    made = Prometheus.start(box)
    made.follow()
    yield made
    made.end()


def fires(prometheus: Prometheus, scene: Scene, alert: str, description: str) -> None:
    """The model's own rule does, of its active revision, with the numbers that Prometheus has."""
    prometheus.wait(scene.space.name, 30, **{alert: "firing"})
    (found,) = [each for each in prometheus.details(scene.space.name) if each["labels"]["alertname"] == alert]
    revision = scene.model.status()["activeRevision"]
    assert (found["labels"]["severity"], found["labels"]["allod_dev_revision"]) == ("warning", revision)
    assert re.match(rf"Revision {revision}: {description}", found["annotations"]["description"]), found


def state(scene: Scene, revision: str) -> str:
    return next((str(each["state"]) for each in scene.model.status()["revisions"] if each["name"] == revision), "gone")


def restarts(scene: Scene) -> tuple[str, int]:
    pod = scene.pod()
    return pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]


def steps(scene: Scene) -> list[dict[str, Any]]:
    """Newest first."""
    found: list[dict[str, Any]] = scene.model.status().get("history", [])
    return found


def figure(what: str) -> None:
    print(f"\n{what}")  # noqa: T201  # the figures of docs/rollouts.md


@pytest.mark.usefixtures("prometheus")
def test_a_hung_worker_leaves_the_endpoints_while_vllm_itself_says_that_all_is_well(scene: Scene, box: Box) -> None:
    model, space = scene.model, scene.space
    assert model.ask(FRANCE).strip()
    model.wait("FitsMemory", "True", "Measured", seconds=90)
    figures = model.status()["fit"]
    assert figures["source"] == "Engine"
    assert figures["kvCacheTokens"] == 23296, "1 GiB at 46,080 bytes a token, in blocks of 128: what vLLM logs for this model"

    pod, before = scene.pod(), restarts(scene)
    workers = box.processes(f"{space.name}/{pod['metadata']['name']}", "engine", match="VLLM::Worker")
    containers.send(workers, signal.SIGSTOP)
    waiting.until("the pod has left the endpoints", lambda: not model.endpoints(), seconds=HANG * 2 + 20)
    at = f"http://{pod['status']['podIP']}:8000"
    health = space.inside(client(space), f"wget -q -T 2 -S -O /dev/null {at}/health 2>&1 || true")
    ready = space.inside(client(space), f"wget -T 2 -O - {at}/allod/ready 2>&1 || true")
    containers.send(workers, signal.SIGCONT)
    assert "200 OK" in health, health
    assert "503" in ready, ready
    waiting.until("the pod is back", lambda: bool(model.endpoints()), seconds=START)
    assert model.ask(FRANCE).strip()
    assert restarts(scene) == before, "it was resumed in time: no restart"


def test_a_good_revision_that_becomes_slow_is_reported_by_what_prometheus_counted_and_goes_on_serving(
    scene: Scene, release: Release, prometheus: Prometheus
) -> None:
    active, before = scene.model.status()["activeRevision"], restarts(scene)
    with told(release), scene.talking() as talk, scene.slow():
        message = scene.model.wait("Degraded", "True", "SLOLatency", seconds=90)
        assert scene.model.condition("Measured")["reason"] == "Scraped"
        answered = 'sum(allod_prometheus_queries_total{result="answered"})'
        waiting.until("Prometheus counts what it was asked", lambda: (prometheus.number(answered) or 0) >= 1, seconds=10)
        assert prometheus.number("sum(allod_scrapes_total)") is None, "no pod is asked for its counters"
        fires(prometheus, scene, "AllodFirstTokenLate", r"p50 is \S+s\.")
    assert re.fullmatch(r"p50 of TTFT \d+\.\d+ s > 0\.3 s over 30s, \d+ requests.*", message), message
    assert scene.model.condition("Ready")["status"] == "True"
    assert (state(scene, active), restarts(scene)) == ("Good", before), "nothing newer is to blame, and nothing older would help"
    assert talk.lost(0) == []
    scene.model.tells("SLOLatency: p50 of TTFT")


def test_streams_that_end_in_an_error_event_are_reported_with_numbers_and_whole_answers_go_on(scene: Scene, prometheus: Prometheus) -> None:
    before = restarts(scene)
    with scene.talking() as talk:
        broken = scene.fault("breaks")
        message = scene.model.wait("Degraded", "True", "SLOErrors", seconds=60)
        fires(prometheus, scene, "AllodTooManyErrors", r"\d+(\.\d+)?% of its requests failed\.")
        ended = scene.fault("")
    assert re.fullmatch(r"errors 0\.\d{3} > 0\.100 over 30s, \d+ requests", message), message
    lost = talk.lost(broken, ended)
    assert {each.what for each in lost} == {"500", "broken"}, "a real error where nothing was sent yet"
    assert all(each.stream for each in lost)
    assert scene.model.condition("Ready")["status"] == "True"
    assert (restarts(scene), [step["action"] for step in steps(scene)][1:]) == (before, [])


def test_an_engine_that_answers_500_hands_over_within_seconds_and_takes_back_when_it_was_started_anew(scene: Scene) -> None:
    model = scene.model
    scene.apply(health=OBJECTIVES, rollout=AT_ONCE, standby=scene.stand_by())
    model.wait("StandbyReady", "True", "Serving")
    home, before = model.status()["activeRevision"], restarts(scene)
    with scene.talking() as talk:
        failed = scene.fault("fails")
        switched = talk.wait("standby", failed, seconds=30)
        model.wait("FailedOver", "True", "FailedOver")
        back = talk.wait("model", switched.ended, seconds=START)
        lost = talk.lost(failed)
    figure(f"500 to everybody: {switched.ended - failed:.1f} s to the standby, {len(lost)} requests lost at {RATE}/s")
    assert switched.ended - failed < HANG, "no patience of a hang is needed for what says itself that it fails"
    assert {each.what for each in lost} <= {"500", "cut", "refused"}
    assert len(lost) <= RATE * (switched.ended - failed) + 2
    assert max(each.began for each in lost) < switched.ended, "nothing is lost once the standby answers"
    assert restarts(scene)[0] != before[0], "it was ended once traffic had left it"
    model.wait("FailedOver", "False", "AtHome")
    model.wait("Degraded", "False")
    returned, left = steps(scene)[:2]
    assert (returned["action"], returned["from"], returned["to"]) == ("Recovered", "small", home)
    assert returned["cause"] == f"1 of 1 pods ready, held {HOLD}s"
    assert (left["action"], left["from"], left["to"]) == ("FailedOver", home, "small")
    assert "failed: a request for one token got status 500" in left["cause"], left["cause"]
    assert back.began > switched.began


def test_clients_of_an_engine_that_hangs_are_freed_and_the_next_leader_brings_traffic_back(scene: Scene, release: Release) -> None:
    """Half of them wait for their headers, half for the second event of their stream."""
    model = scene.model
    with scene.talking() as talk:
        hung = scene.fault("hangs")
        switched = talk.wait("standby", hung, seconds=60)
        model.wait("FailedOver", "True", "FailedOver")
        waiting.until("whoever waited is freed", lambda: len(talk.lost(hung)) >= RATE * HANG - 2, seconds=20)
        release.signal(release.leader(), signal.SIGKILL)
        talk.wait("model", switched.ended, seconds=START)
        lost = talk.lost(hung)
    freed = max(each.ended for each in lost) - hung
    figure(
        f"hangs: {switched.ended - hung:.1f} s to the standby, {len(lost)} requests lost at {RATE}/s, the last freed after {freed:.1f} s"
    )
    assert HANG - 1 < switched.ended - hung < HANG + 5
    assert len(lost) <= RATE * (switched.ended - hung) + 2
    assert freed < HANG + 9, "by the end of the process, not by their own patience"
    assert max(each.began for each in lost) < switched.ended
    model.wait("FailedOver", "False", "AtHome", seconds=60)
    actions = [step["action"] for step in steps(scene)]
    assert actions[:2] == ["Recovered", "FailedOver"], actions
    assert actions.count("FailedOver") == 2, "the next leader found what was done, and did it no second time"
    assert f"hung: no engine step for {HANG} s while a request waits" in steps(scene)[1]["cause"]
    release.wait_ready()


def test_a_new_revision_that_answers_500_in_its_bake_time_is_rolled_back_by_itself(scene: Scene) -> None:
    model = scene.model
    good = model.status()["activeRevision"]
    # While another engine loads on the same two cores, this one may be silent for a second: not what is to be seen here.
    scene.apply(health=HEALTH, rollout=AT_ONCE)
    scene.space.kubectl("delete", "mdl", "small")
    with scene.talking() as talk:
        scene.apply(health=HEALTH, rollout={"bake": "10m"}, length=896)
        waiting.until("traffic moved", lambda: model.status()["activeRevision"] != good, seconds=START)
        bad = model.status()["activeRevision"]
        healthy = talk.lost(0)
        failed = scene.fault("fails", bad)
        waiting.until("traffic is back", lambda: model.status()["activeRevision"] == good, seconds=30)
        message = model.wait("Degraded", "True", "EngineFails")
        waiting.until("its pod is gone", lambda: len(model.pods()) == 1, seconds=60)
        lost = talk.lost(failed)
    last = max(each.ended for each in lost) - failed
    figure(f"500 within the bake time: {len(lost)} requests lost at {RATE}/s, the last {last:.1f} s after the fault")
    assert healthy == [], "the rollout itself costs nobody an answer"
    assert last < HANG
    assert "failed: a request for one token got status 500" in message
    assert (state(scene, bad), state(scene, good)) == ("Failed", "Good")
    assert model.condition("Ready")["reason"] == "Serving"
    assert [step["action"] for step in steps(scene)][:4] == ["RolledBack", "RevisionFailed", "TrafficMoved", "RevisionCreated"]
    model.wait("Stalled", "True", "RevisionFailed")


@pytest.fixture
def _edge(box: Box) -> None:
    edge.install(box)


def weights(scene: Scene) -> dict[str, int]:
    return {one["name"]: one["weight"] for one in scene.model.status()["traffic"].get("weights", ())}


@pytest.mark.usefixtures("_edge")
def test_a_canary_that_fails_a_third_of_its_requests_is_given_up_by_comparison(scene: Scene) -> None:
    model, good = scene.model, scene.model.status()["activeRevision"]
    allow = [{"podSelector": {}}, {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": edge.NAMESPACE}}}]
    canary = {"parentRef": edge.PARENT, "steps": [{"weight": 50, "hold": "10m"}], "minRequests": 20}
    spec: dict[str, Any] = {"health": HEALTH, "networkPolicy": {"allowFrom": allow}}
    scene.apply(**spec, rollout={"bake": "10m", "canary": {"parentRef": edge.PARENT}})
    model.wait("RouteAccepted", "True", seconds=30)
    with scene.talking("envoy", edge.NAMESPACE) as talk:
        scene.apply(**spec, rollout={"strategy": "Canary", "bake": "10m", "canary": canary}, fault="fails every third")
        waiting.until("it gets its share", lambda: 50 in weights(scene).values(), seconds=START)
        message = model.wait("Degraded", "True", "CanaryErrors", seconds=120)
        waiting.until("all weight is back", partial(weights_are, scene, {good: 100}), seconds=20)
        over = talk.since(0)[-1].ended
        waiting.until("its pod is gone", lambda: len(model.pods()) == 1, seconds=60)
        after = talk.lost(over + 2)
    numbers = re.fullmatch(
        rf"errors (0\.\d+) \((\d+) of (\d+)\) against 0\.000 \(0 of \d+\) of {good}, 1 percent more are allowed", message
    )
    assert numbers, message
    figure(f"canary: {message}; {len(talk.lost(0))} of {len(talk.told)} requests lost in all")
    assert 0.2 < float(numbers[1]) < 0.5
    strange = [(each.what, round(each.began - over, 2), each.took) for each in talk.lost(0) if each.what != "500"]
    assert strange == [], "nothing else is lost, neither when it joins nor when it goes"
    assert after == [], "the active one loses nothing, and gets everything"
    assert model.status()["activeRevision"] == good
    assert model.condition("Ready")["status"] == "True"
    assert steps(scene)[0]["action"] == "RevisionFailed"


def weights_are(scene: Scene, wanted: dict[str, int]) -> bool:
    return weights(scene) == wanted
