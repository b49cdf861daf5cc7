"""The operator killed, its API away, its CRDs late: models go on serving, and nothing is lost or made twice."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from box import Box, waiting
from cluster.models import Model, chat, request
from cluster.space import pod

AWAY = 60
"""Seconds without an API server: longer than the operator's lease, its watches and its retries."""

if TYPE_CHECKING:
    from cluster.release import Release
    from cluster.space import Space


def test_a_killed_leader_is_replaced_and_the_model_serves_on(space: Space, release: Release) -> None:
    model = Model.apply(space, chat())
    model.wait("Ready", "True")
    pod = model.pods()[0]["metadata"]["uid"]
    release.signal(release.leader(), signal.SIGKILL)
    assert model.ask().strip()
    space.kubectl("scale", "mdl/chat", "--replicas=2")
    waiting.until("somebody leads again and scales", lambda: model.status().get("readyReplicas") == 2, seconds=60)
    assert pod in {one["metadata"]["uid"] for one in model.pods()}, "a new leader restarted a model"
    release.wait_ready()


def test_an_api_server_that_is_away_costs_no_pod_and_no_restart(space: Space, box: Box, release: Release) -> None:
    release.wait_ready()
    model = Model.apply(space, chat())
    model.wait("Ready", "True")
    pods, restarts = {one["metadata"]["uid"] for one in model.pods()}, release.restarts()
    asked = f"{request('http://chat:8000', 'chat', 'Hello', 1)} | grep -q choices && echo answered || echo lost"
    space.run(pod("asker", f"while true; do ({asked}) >> /tmp/told; sleep 0.5; done"))
    waiting.until("the client gets answers", lambda: "answered" in space.inside("asker", "tail -n 1 /tmp/told"), seconds=20)
    space.inside("asker", ": > /tmp/told")
    box.plane.end("kube-apiserver")
    try:
        time.sleep(AWAY)
    finally:
        box.plane.start("kube-apiserver")
        box.plane.wait_ready()
    told = space.inside("asker", "cat /tmp/told").split()
    assert "lost" not in told, told
    assert len(told) > AWAY / 2
    Model.apply(space, chat(replicas=2))
    waiting.until("the operator works again", lambda: model.status().get("readyReplicas") == 2, seconds=90)
    assert pods <= {one["metadata"]["uid"] for one in model.pods()}
    release.wait_ready()
    assert release.restarts() <= restarts + 1, "only a leader that could not renew its lease may have ended"
