"""A new revision on trial behind a real Gateway: its share of the requests, its promotion, its end, and no request to what is not ready."""

from __future__ import annotations

import signal
import time
from collections import Counter
from functools import partial
from math import sqrt
from typing import TYPE_CHECKING, Any

import pytest

from box import Box, containers, waiting
from cluster import edge
from cluster.asker import Asker
from cluster.models import HUNG_UP, Model, chat, client
from cluster.scene import talking
from cluster.space import pod

if TYPE_CHECKING:
    from cluster.models import Manifest
    from cluster.release import Release
    from cluster.space import Space

NEWER = "newer"
"""A name that only the new revision answers to: by it a client sees who it was."""
REQUESTS = 200
LONG = [{"weight": 20, "hold": "10m"}]


@pytest.fixture(scope="module")
def _edge(box: Box) -> None:
    edge.install(box)


@pytest.fixture
def model(space: Space, release: Release, _edge: None) -> Model:  # noqa: ARG001  the operator must be there
    """One that serves through the Gateway, and a client that asks there all the time."""
    made = Model.apply(space, canary())
    made.wait("Ready", "True")
    made.wait("RouteAccepted", "True", seconds=30)
    space.run(pod("client"))
    asker = Asker.start(space, "chat", NEWER, at=edge.URL)
    waiting.until("the Gateway sends to it", lambda: asker.last() == "chat", seconds=30)
    return made


def canary(steps: list[dict[str, Any]] = LONG, *, aliases: tuple[str, ...] = (), **spec: Any) -> Manifest:
    allow = [{"podSelector": {}}, {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": edge.NAMESPACE}}}]
    return chat(
        model={**chat()["spec"]["model"], **({"aliases": list(aliases)} if aliases else {})},
        networkPolicy={"allowFrom": allow},
        rollout={"strategy": "Canary", "bake": "0s", "canary": {"parentRef": edge.PARENT, "steps": steps}},
        **spec,
    )


def answers(space: Space, url: str) -> Counter[str]:
    """Who answered that many requests, each on a connection of its own."""
    once = f"wget -q -T 2 -O - {url}/v1/models 2>/dev/null"
    who = f"""awk '/"{NEWER}"/ {{w="{NEWER}"}} /"data"/ {{w=w ? w : "chat"}} END {{print w ? w : "lost"}}'"""
    said = space.inside(client(space), f"for i in $(seq {REQUESTS}); do {once} | {who}; done")
    return Counter(said.split())


def near(found: int, percent: int) -> bool:
    """Within five standard deviations: once in two million runs it is not."""
    part = percent / 100
    return abs(found - part * REQUESTS) <= 5 * sqrt(REQUESTS * part * (1 - part))


def step(model: Model) -> int:
    return int((model.status().get("canary") or {}).get("step", -1))


def in_step(model: Model, number: int) -> bool:
    return step(model) == number


def test_a_good_revision_gets_its_shares_and_then_everything_and_no_request_is_lost(model: Model, space: Space) -> None:
    old = model.status()["activeRevision"]
    # Long enough for the requests below, which begin when the weights have been in force for a while.
    space.apply(canary([{"weight": 20, "hold": "45s"}, {"weight": 50, "hold": "45s"}], aliases=(NEWER,)))
    for number, percent in ((1, 20), (2, 50)):
        waiting.until(f"step {number}", partial(in_step, model, number), seconds=90)
        waiting.until("the Gateway follows", lambda: NEWER in answers(space, edge.URL), seconds=20)
        told = answers(space, edge.URL)
        within = answers(space, "http://chat:8000")
        assert step(model) == number, "the step lasted as long as the requests did"
        assert told["lost"] == 0, told
        assert near(told[NEWER], percent), told
        assert within[NEWER] == 0, "the Service is the active revision's until the canary is through"
    waiting.until("it is promoted", lambda: model.status()["activeRevision"] != old, seconds=90)
    waiting.until("everything goes there", lambda: set(answers(space, edge.URL)) == {NEWER}, seconds=20)
    assert set(answers(space, "http://chat:8000")) == {NEWER}
    told = Counter(who for _, who in Asker(space).told())
    assert told["lost"] <= 1, f"one at most, while the first route was made: {told}"
    model.has_done("TrafficMoved", "CanaryStep", "CanaryStep")


def test_a_revision_that_dies_on_trial_is_given_up_and_clients_see_few_errors(model: Model, space: Space, box: Box) -> None:
    old = model.status()["activeRevision"]
    space.apply(canary(aliases=(NEWER,)))
    asker = Asker(space)
    waiting.until("it gets requests", lambda: NEWER in [who for _, who in asker.told()], seconds=90)
    (bad,) = {one["metadata"]["labels"]["allod.dev/revision"] for one in model.pods()} - {old}
    begun = asker.told()[-1][0]

    def found_gone() -> bool:
        """Killed again until it is: one that its kubelet starts at once listens 0.2 s later, and then says that it loads."""
        if model.condition("Degraded").get("reason") == "EngineGone":
            return True
        for one in model.pods():
            if one["metadata"]["labels"]["allod.dev/revision"] == bad:
                containers.send(box.processes(f"{space.name}/{one['metadata']['name']}", "engine", match="llama-server"), signal.SIGKILL)
        time.sleep(1)
        return False

    waiting.until("it is found dead", found_gone, seconds=30)
    message = model.condition("Degraded")["message"]
    assert HUNG_UP.search(message), message
    waiting.until("all weight is back", lambda: weights(model) == {old: 100}, seconds=10)
    assert model.status()["activeRevision"] == old
    assert model.condition("Ready")["status"] == "True"
    waiting.until("its pods are gone", lambda: len(model.pods()) == 1, seconds=60)
    told = answers(space, edge.URL)
    assert told == {"chat": REQUESTS}, "everything goes to the active one"
    after = Counter(asker.since(begun))
    assert after["lost"] <= 5, f"a fifth of what came while the operator heard of it: {after}"


def weights(model: Model) -> dict[str, int]:
    return {one["name"]: one["weight"] for one in model.status()["traffic"].get("weights", ())}


def test_a_revision_that_is_taken_back_on_trial_takes_no_request_along(model: Model, space: Space) -> None:
    half = [{"weight": 50, "hold": "10m"}]
    times: list[tuple[str, float]] = []
    with talking(space, "envoy", edge.NAMESPACE, "chat", rate=8) as talk:
        for _ in range(3):
            times.append(("asked for", time.monotonic()))
            space.apply(canary(half, aliases=(NEWER,)))
            waiting.until("it has its share", partial(in_step, model, 1), seconds=60)
            times.append(("in its step", time.monotonic()))
            waiting.until("the Gateway follows", lambda: Asker(space).last() == NEWER, seconds=10)
            times.append(("taken back", time.monotonic()))
            space.apply(canary(half))
            waiting.until("its pods are gone", lambda: len(model.pods()) == 1, seconds=60)
            times.append(("gone", time.monotonic()))
    lost = [(round(each.began, 1), round(each.took, 2), each.what) for each in talk.lost(0)]
    assert lost == [], f"traffic leaves first, and that takes the Gateway a moment: {times}"


def test_a_revision_that_is_not_ready_gets_no_request(model: Model, space: Space) -> None:
    old = model.status()["activeRevision"]
    nowhere = {"nodeSelector": {"kubernetes.io/hostname": "nowhere"}}
    space.apply(canary(aliases=(NEWER,), scheduling=nowhere))
    waiting.until("its pods are wanted", lambda: len(model.pods()) == 2, seconds=30)
    assert answers(space, edge.URL) == {"chat": REQUESTS}
    assert (weights(model), step(model)) == ({old: 100}, 0)
    space.apply(canary(aliases=(NEWER,)))
    waiting.until("the next one gets its share", lambda: step(model) == 1, seconds=60)
    waiting.until("the Gateway follows", lambda: NEWER in answers(space, edge.URL), seconds=20)
    assert Counter(who for _, who in Asker(space).told())["lost"] <= 1
