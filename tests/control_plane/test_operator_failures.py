"""The operator when something is missing, dies or goes away: nothing is lost, nothing loops, and a sentence says what to do."""

from __future__ import annotations

import json
import random
import re
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from allod.adapters.resources import resource
from box import waiting
from box.api import Refused
from box.controlplane import control_plane as real_control_plane
from support.audit import WRITES, audited, events, refused
from support.crds import install_ours, loosen
from support.models import Models
from support.operator import NAMESPACE, USER, Operator, grant, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from box.controlplane import ControlPlane
    from support.operator import Site

SERVICES, STATEFULSETS = resource("v1", "Service"), resource("apps/v1", "StatefulSet")
SEED = 20261122
"""Of the moments at which the operator is killed."""


@pytest.fixture
def operator(site: Site, tmp_path: Path) -> Iterator[Operator]:
    """One that leads."""
    one = Operator(site.kubeconfig, tmp_path)
    with running(one):
        one.wait_leading()
        yield one


def until(what: str, true: Callable[[], bool], seconds: float = 30) -> None:
    waiting.until(what, true, seconds=seconds)


def holder(plane: ControlPlane) -> str:
    lease = plane.api.get(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/allod")
    return str(lease["spec"]["holderIdentity"])


def test_a_signal_ends_the_operator_quickly_and_frees_the_lease(site: Site, operator: Operator) -> None:
    assert holder(site.plane) == operator.name
    assert operator.end(signal.SIGTERM) == 0
    assert holder(site.plane) == ""
    assert operator.logs()[-1]["message"] == "stopped"
    assert operator.complaints() == []


def test_a_replica_that_waits_takes_over_when_the_leader_ends(site: Site, operator: Operator, models: Models, tmp_path: Path) -> None:
    other = Operator(site.kubeconfig, tmp_path, "allod-1")
    with running(other):
        other.wait_ready()
        assert other.figure("allod_leader") == 0
        models.create()
        models.wait_settled()
        operator.end(signal.SIGTERM)
        other.wait_leading()
        models.edit(engine={"maxModelLen": 2048})
        models.wait_settled()
        assert holder(site.plane) == "allod-1"
        assert other.complaints() == []


def test_a_replica_that_waits_takes_over_when_the_leader_is_killed(site: Site, operator: Operator, models: Models, tmp_path: Path) -> None:
    other = Operator(site.kubeconfig, tmp_path, "allod-1")
    with running(other):
        other.wait_ready()
        operator.end(signal.SIGKILL)
        models.create()
        models.wait_settled(seconds=90)
        assert holder(site.plane) == "allod-1"


def test_an_operator_killed_at_any_moment_goes_on_where_it_stopped(operator: Operator, models: Models) -> None:
    moments = random.Random(SEED)  # noqa: S311  # the same moments in each run
    models.create()
    for number in range(1, 7):
        models.edit(engine={"maxModelLen": 1024 * number}, replicas=1 + number % 3)
        time.sleep(moments.uniform(0, 0.6))
        operator.end(signal.SIGKILL)
        operator.start()
    models.wait_settled(seconds=90)
    revision = models.revision()
    assert models.names("StatefulSet") == [f"chat-{revision}"]
    assert models.names("Service") == ["chat", f"chat-{revision}", f"chat-{revision}-peers"]
    assert operator.complaints() == []


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane of one test, which may take it away, and without our CRDs."""
    with real_control_plane(tmp_path / "apart", fake_nodes=2, gpus=8) as plane:
        yield plane


def test_an_api_server_away_for_a_moment_is_not_noticed_by_anybody(apart: ControlPlane, tmp_path: Path) -> None:
    operator, models = ready(apart, tmp_path)
    with running(operator):
        operator.wait_leading()
        models.create()
        models.wait_settled()
        apart.end("kube-apiserver")
        until("the operator missed it", lambda: "0" in codes(operator))
        apart.start("kube-apiserver")
        apart.wait_ready()
        models.edit(engine={"maxModelLen": 2048})
        models.wait_settled(seconds=90)
        assert operator.process.poll() is None
        operator.wait_ready()  # a listing that met the gap is tried again a moment later
        assert operator.complaints() == []


def codes(operator: Operator) -> set[str]:
    """Codes that the API server answered with; 0 is no answer."""
    lines = [line for line in operator.page("/metrics")[1].splitlines() if line.startswith("allod_api_requests_total")]
    return {line.split('code="')[1].split('"')[0] for line in lines}


def test_an_api_server_away_for_long_costs_one_restart_and_nothing_else(apart: ControlPlane, tmp_path: Path) -> None:
    operator, models = ready(apart, tmp_path)
    with running(operator):
        operator.wait_leading()
        models.create()
        models.wait_settled()
        apart.end("kube-apiserver")
        # One that goes on believes the nodes silent, and may say so of pods that come later: pretended ones say once that they are well.
        apart.end("kube-controller-manager")
        assert operator.process.wait(timeout=30) == 1  # it cannot know whether another leads by now
        assert [each["message"] for each in operator.complaints()] == ["this replica must not write any more"]
        operator.start()  # as the kubelet does
        until("it says what it waits for", lambda: "no answer from https://127.0.0.1" in operator.page("/readyz")[1])
        assert operator.page("/healthz")[0] == 200
        apart.start("kube-apiserver")
        apart.wait_ready()
        apart.start("kube-controller-manager")
        models.delete(SERVICES, "chat")  # what happened while nobody looked
        operator.wait_leading()
        until("the Service is back", lambda: "chat" in models.names("Service"))
        models.edit(engine={"maxModelLen": 2048})
        models.wait_settled(seconds=90)


def ready(plane: ControlPlane, folder: Path) -> tuple[Operator, Models]:
    install_ours(plane)
    return Operator(grant(plane, folder), folder), Models(plane, "ai")


def test_an_operator_without_its_crds_waits_and_goes_on_by_itself(apart: ControlPlane, tmp_path: Path) -> None:
    audited(apart)
    operator = Operator(grant(apart, tmp_path), tmp_path)
    with running(operator):
        until("it says what is missing", lambda: "apply crds/ of this release" in operator.page("/readyz")[1])
        assert operator.page("/readyz")[0] == 503
        assert operator.page("/healthz")[0] == 200
        install_ours(apart)
        operator.wait_ready()
        models = Models(apart, "ai")
        models.create()
        models.wait_settled()
        models.edit(engine={"maxModelLen": 2048})  # by a watch event: it watches too
        models.wait_settled()
    said = [each["why"] for each in operator.logs() if each["message"] == "not ready"]
    assert len(said) == 1
    assert operator.complaints() == []


def test_a_crd_that_goes_and_comes_back_takes_nothing_else_with_it(apart: ControlPlane, tmp_path: Path) -> None:
    operator, models = ready(apart, tmp_path)
    with running(operator):
        operator.wait_leading()
        models.create()
        models.wait_settled()
        apart.kubectl("delete", "crd", "modeldeployments.allod.dev", "--wait")
        until("it says what is missing", lambda: operator.page("/readyz")[0] == 503, seconds=60)
        install_ours(apart)
        operator.wait_ready()
        models.create("again")
        models.wait_settled("again", seconds=90)
        assert operator.process.poll() is None


def test_a_stored_model_that_the_operator_cannot_read_is_told_left_alone_and_taken_up_when_corrected(
    apart: ControlPlane, tmp_path: Path
) -> None:
    log = audited(apart)
    operator, models = ready(apart, tmp_path)
    loosen(apart, "spec", "scheduling", "topologySpread", allow="Rack")
    with running(operator):
        operator.wait_leading()
        models.create()
        models.wait_settled()
        before, revision = written(log), models.revision()
        until("another CRD is served", lambda: edited(models, scheduling={"topologySpread": "Rack"}, engine={"maxModelLen": 2048}))
        models.until("it is refused", lambda: models.condition("Degraded").get("reason") == "InvalidSpec")
        says = models.condition("Degraded")["message"]
        assert re.fullmatch(
            r"spec\.scheduling\.topologySpread: .*'Zone' or 'Node'.* apply the CRDs of this release, then the object\.", says
        )
        assert models.condition("Ready")["status"] == "True"
        models.until("it is told", lambda: (written(log) - before)["events"] == 1)
        operator.end(signal.SIGTERM)
        operator.start()
        operator.wait_leading()
        time.sleep(2)
        since = written(log) - before
        assert set(since) == {"modeldeployments/status", "events"}
        assert since["events"] == 1, "the next leader says it no second time"
        assert (models.revision(), models.names("StatefulSet")) == (revision, [f"chat-{revision}"])

        models.edit(scheduling={"topologySpread": "Zone"})
        models.wait_settled()
        assert models.condition("Degraded")["status"] == "False"
        assert models.revision() != revision
        assert "2048" in json.dumps(models.all(STATEFULSETS)[0]["spec"]["template"])
        assert operator.complaints() == []


def edited(models: Models, **changes: Any) -> bool:
    """Whether the API server takes the edit by now."""
    try:
        models.edit(**changes)
    except Refused:
        return False
    return True


def written(log: Path) -> Counter[str]:
    """How often the operator wrote to each resource so far; not to its lease."""
    ours = (each for each in events(log, USER) if each["verb"] in WRITES)
    kinds = ("/".join(filter(None, (each["objectRef"]["resource"], each["objectRef"].get("subresource")))) for each in ours)
    return Counter(kind for kind in kinds if kind != "leases")


def test_an_operator_of_some_namespaces_needs_rights_in_these_alone_and_touches_no_other(apart: ControlPlane, tmp_path: Path) -> None:
    install_ours(apart)
    log = audited(apart)
    theirs, ours = Models(apart, "theirs"), Models(apart, "ai")
    kubeconfig = grant(apart, tmp_path, 'namespaces=["ai"]')
    operator = Operator(kubeconfig, tmp_path, ALLOD_NAMESPACES="ai")
    with running(operator):
        operator.wait_leading()
        theirs.create()
        ours.create()
        ours.wait_settled()
        ours.edit(engine={"maxModelLen": 2048})
        ours.wait_settled()
    assert theirs.owned() == []
    assert "status" not in theirs.get()
    assert refused(log, USER) == set()
    assert operator.complaints() == []


def test_a_namespace_that_takes_the_operators_role_along_stops_no_other(apart: ControlPlane, tmp_path: Path) -> None:
    install_ours(apart)
    ours, legal = Models(apart, "ai"), Models(apart, "legal")
    operator = Operator(grant(apart, tmp_path, 'namespaces=["ai", "legal"]'), tmp_path, ALLOD_NAMESPACES="ai,legal")
    binding = apart.kubectl("get", "rolebinding", "allod", "--namespace=legal", "--output=json")
    for models in (ours, legal):
        models.create()
    with running(operator):
        for models in (ours, legal):
            models.wait_settled()
        apart.kubectl("delete", "rolebinding", "allod", "--namespace=legal")
        operator.end(signal.SIGTERM)
        operator.start()
        operator.wait_ready()
        until("it says what it cannot see", lambda: "in the namespace legal, so its models are left alone" in operator.page("/readyz")[1])
        operator.wait_leading()
        legal.edit(engine={"maxModelLen": 2048})
        ours.edit(engine={"maxModelLen": 2048})  # by a watch event: of one namespace it still comes
        ours.wait_settled()
        assert len(legal.names("StatefulSet")) == 1, "it does not begin anew where it sees nothing"
        apart.kubectl("create", "--filename=-", stdin=re.sub(r'"(resourceVersion|uid)": "[^"]*",?', "", binding))
        legal.wait_settled(seconds=120)
        until("nothing is left to say", lambda: operator.page("/readyz") == (200, "ok\n"))
    assert operator.complaints() == []
