from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from allod.adapters.errors import Conflict, Invalid, Unavailable
from allod.domain.manifest import Ref, ref
from allod.domain.serving.health.measurement import Measurement
from allod.domain.serving.seen import EngineFigures
from allod.runtime.routing import model_ref
from support.drive import NAMESPACE, Drive

if TYPE_CHECKING:
    from allod.domain.manifest import Manifest


@pytest.fixture
def drive() -> Drive:
    return Drive()


async def settled(drive: Drive, **changes: Any) -> str:
    drive.create(**changes)
    await drive.settle()
    return str(drive.model()["status"]["activeRevision"])


async def test_a_new_model_gets_its_children_and_gets_ready(drive: Drive) -> None:
    revision = await settled(drive)
    assert drive.cluster.names("StatefulSet") == (f"chat-{revision}",)
    assert drive.cluster.names("Service") == ("chat", f"chat-{revision}", f"chat-{revision}-peers")
    assert drive.condition("Ready")["status"] == "True"


async def test_an_unchanged_world_is_neither_written_to_nor_read(drive: Drive) -> None:
    await settled(drive)
    drive.cluster.writes.clear()
    drive.cluster.reads.clear()
    assert not await drive.reconcile()
    assert (drive.cluster.writes, drive.cluster.reads) == ([], [])


async def test_an_operator_that_lost_its_memory_writes_nothing_to_an_unchanged_world(drive: Drive) -> None:
    await settled(drive)
    drive.cluster.writes.clear()
    drive.restart()
    assert not await drive.reconcile()
    assert drive.cluster.writes == []


async def test_a_look_right_after_a_write_sees_what_was_written(drive: Drive) -> None:
    drive.create()
    assert await drive.reconcile()
    drive.cluster.writes.clear()
    await drive.reconcile()
    assert [verb for verb, _ in drive.cluster.writes if verb == "apply"] == []


async def test_objectives_are_looked_at_by_all_pods_and_restart_none(drive: Drive) -> None:
    revision = await settled(drive)
    drive.edit(health={"slos": [{"name": "errors", "metric": "ErrorRatio", "threshold": "0.01", "window": "2m"}]})
    await drive.settle()
    assert (drive.windows.asked[0], drive.windows.asked[-1]) == ((0, ()), (2, ("errors",)))
    assert drive.cluster.names("StatefulSet") == (f"chat-{revision}",)


async def test_an_edit_moves_to_a_new_revision_and_removes_the_old_one(drive: Drive) -> None:
    old = await settled(drive)
    drive.edit(engine={"type": "LlamaCpp", "maxModelLen": 2048})
    await drive.settle()
    new = drive.model()["status"]["activeRevision"]
    assert new != old
    assert drive.cluster.names("StatefulSet") == (f"chat-{new}",)


async def test_an_operator_that_dies_after_every_single_write_arrives_all_the_same(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    await settled(drive)
    drive.edit(engine={"type": "LlamaCpp", "maxModelLen": 2048})
    apply = drive.cluster.apply
    deaths = 0

    async def apply_and_die(manifest: Manifest) -> Manifest:
        nonlocal deaths
        before = len(drive.cluster.writes)
        answer = await apply(manifest)
        if len(drive.cluster.writes) > before:
            deaths += 1
            raise SystemExit
        return answer

    monkeypatch.setattr(drive.cluster, "apply", apply_and_die)
    for _ in range(30):
        try:
            await drive.reconcile()
        except SystemExit:
            drive.restart()
        drive.nodes.step()
    assert deaths >= 5
    assert not await drive.reconcile()
    assert drive.cluster.names("StatefulSet") == (f"chat-{drive.model()['status']['desiredRevision']}",)


async def test_a_deleted_model_is_left_to_the_garbage_collector(drive: Drive) -> None:
    await settled(drive)
    drive.cluster.mark_deleted(Ref("allod.dev/v1alpha1", "ModelDeployment", NAMESPACE, "chat"))
    drive.cluster.writes.clear()
    assert not await drive.reconcile()
    assert drive.cluster.writes == []


async def test_a_model_that_is_gone_is_no_error(drive: Drive) -> None:
    assert not await drive.reconcile("nobody")


async def test_a_stored_model_that_cannot_be_understood_gets_a_sentence_and_keeps_serving(drive: Drive) -> None:
    revision = await settled(drive)
    drive.edit(engine={"type": "Quantum"})
    await drive.settle()
    degraded = drive.condition("Degraded")
    assert (degraded["status"], degraded["reason"]) == ("True", "InvalidSpec")
    assert degraded["message"].startswith("spec.engine.type: ")
    assert drive.condition("Ready")["status"] == "True"
    assert drive.cluster.names("StatefulSet") == (f"chat-{revision}",)
    drive.edit(engine={"type": "LlamaCpp"})
    await drive.settle()
    assert drive.condition("Degraded")["status"] == "False"


async def test_a_conflict_on_the_status_is_left_to_the_queue(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    drive.create()

    async def raced(*_: object) -> Manifest:
        raise Conflict("the object has been modified")

    monkeypatch.setattr(drive.cluster, "patch_status", raced)
    with pytest.raises(Conflict):
        await drive.reconcile()


async def test_what_the_api_server_refuses_is_told_and_nothing_else_is_done(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    revision = await settled(drive)
    drive.edit(engine={"type": "LlamaCpp", "maxModelLen": 2048})
    apply = drive.cluster.apply

    async def refuse(manifest: Manifest) -> Manifest:
        if manifest["kind"] == "StatefulSet" and manifest["metadata"]["name"] != f"chat-{revision}":
            raise Invalid("apply StatefulSet: exceeded quota")
        return await apply(manifest)

    monkeypatch.setattr(drive.cluster, "apply", refuse)
    await drive.settle()
    assert drive.condition("Degraded") | {"reason": "Refused", "message": "apply StatefulSet: exceeded quota"} == drive.condition(
        "Degraded"
    )
    assert drive.model()["status"]["activeRevision"] == revision
    monkeypatch.undo()
    await drive.reconcile()
    await drive.settle()
    assert drive.model()["status"]["activeRevision"] != revision


async def test_a_name_that_somebody_else_has_is_not_taken(drive: Drive) -> None:
    theirs = Ref("v1", "Service", NAMESPACE, "chat")
    drive.cluster.add(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "chat", "namespace": NAMESPACE}, "spec": {"selector": {}}}
    )
    drive.create()
    await drive.settle()
    degraded = drive.condition("Degraded")
    assert degraded["reason"] == "NameTaken"
    assert "Service ai/chat is there already and is not ours" in degraded["message"]
    assert drive.cluster.objects[theirs]["spec"] == {"selector": {}}


async def test_the_remains_of_a_deleted_model_of_the_same_name_are_waited_for(drive: Drive) -> None:
    drive.create()
    await drive.reconcile()
    service = Ref("v1", "Service", NAMESPACE, "chat")
    drive.cluster.edit(service, lambda it: it["metadata"]["ownerReferences"][0].update(uid="of-the-deleted-one"))
    drive.restart()
    with pytest.raises(Conflict, match="still there from a deleted ModelDeployment chat"):
        await drive.reconcile()


async def test_of_two_models_with_one_name_the_younger_waits_until_the_older_lets_go(drive: Drive) -> None:
    drive.create("first", model=named("shared"))
    await drive.settle()
    drive.create("second", model=named("shared"))
    drive.cluster.edit(Ref("allod.dev/v1alpha1", "ModelDeployment", NAMESPACE, "second"), younger)
    await drive.settle()
    assert drive.condition("Ready", "second")["status"] == "False"
    drive.edit("first", model=named("own"))
    await drive.settle()
    assert drive.condition("Ready", "second")["status"] == "True"


def named(name: str) -> dict[str, str]:
    return {"uri": "oci://registry.example.com/models/smollm2:1/model.gguf", "servedName": name}


def younger(model: Manifest) -> None:
    model["metadata"]["creationTimestamp"] = "2026-11-20T00:00:01Z"


async def test_an_api_server_that_is_away_is_left_to_the_queue(drive: Drive) -> None:
    drive.create()
    drive.cluster.down = True
    with pytest.raises(Unavailable):
        await drive.reconcile()
    drive.cluster.down = False
    await drive.settle()
    assert drive.condition("Ready")["status"] == "True"


async def test_the_engines_own_figures_reach_the_status(drive: Drive) -> None:
    revision = await settled(drive)
    drive.figures[revision] = EngineFigures(kv_cache_tokens=46592, max_concurrency=5.6875)
    await drive.reconcile()
    assert drive.model()["status"]["fit"] | {"kvCacheTokens": 46592, "source": "Engine"} == drive.model()["status"]["fit"]


async def test_monitors_come_with_the_api_and_go_with_the_wish(drive: Drive) -> None:
    await settled(drive)
    assert drive.cluster.names("PodMonitor") == ()
    drive.cluster.install()
    await drive.reconcile()
    assert drive.cluster.names("PodMonitor") == drive.cluster.names("PrometheusRule") == ("chat",)
    drive.edit(monitoring={"podMonitor": False, "prometheusRule": False})
    await drive.settle()
    assert drive.cluster.names("PodMonitor") == drive.cluster.names("PrometheusRule") == ()


async def test_a_prometheus_that_is_away_is_said_and_changes_nothing_else(drive: Drive) -> None:
    await settled(drive)
    before = {kind: drive.condition(kind) for kind in ("Ready", "Progressing", "Degraded", "Stalled")}
    drive.windows.measured = Measurement("Prometheus at http://p does not answer: Connection refused")
    await drive.reconcile()
    assert drive.condition("Measured")["reason"] == "PrometheusUnavailable"
    assert {kind: drive.condition(kind) for kind in before} == before
    drive.windows.measured = Measurement(known=("chat-0",))
    await drive.reconcile()
    assert drive.condition("Measured")["status"] == "True"
    drive.windows.measured = None
    await drive.reconcile()
    assert "Measured" not in {each["type"] for each in drive.model()["status"]["conditions"]}


async def test_a_route_comes_with_the_gateway_api_and_goes_with_the_wish(drive: Drive) -> None:
    await settled(drive)
    drive.edit(rollout={"bake": "0s", "canary": {"parentRef": {"name": "edge"}}})
    await drive.settle()
    assert drive.cluster.names("HTTPRoute") == ()
    assert drive.condition("RouteAccepted")["reason"] == "GatewayAPIMissing"
    assert drive.condition("Ready")["status"] == "True"
    drive.cluster.install()
    await drive.reconcile()
    await drive.settle()
    assert drive.cluster.names("HTTPRoute") == ("chat",)
    assert drive.condition("RouteAccepted")["reason"] == "RouteNotTaken"
    drive.edit(rollout={"bake": "0s"})
    await drive.settle()
    assert drive.cluster.names("HTTPRoute") == ()


async def test_what_is_compared_is_asked_of_the_two_revisions_that_the_status_tells_of(drive: Drive) -> None:
    drive.cluster.install()
    drive.create(model={"uri": "pvc://models/smollm2"}, engine={"type": "vLLM"})
    await drive.settle()
    old = drive.model()["status"]["activeRevision"]
    canary = {"parentRef": {"name": "edge"}, "steps": [{"weight": 5, "hold": "5m"}], "minRequests": 20}
    drive.edit(rollout={"strategy": "Canary", "bake": "0s", "canary": canary})
    await drive.settle()
    assert [rule.metric for rule in drive.windows.rules] == ["ErrorRatio"], "errors are always compared"
    assert drive.windows.pairs[-1].rules == (), "there is nobody to compare with"
    drive.edit(engine={"type": "vLLM", "maxModelLen": 2048})
    await drive.settle()
    pair = drive.windows.pairs[-1]
    assert (pair.model, pair.old, pair.new, pair.least) == ("chat", old, drive.model()["status"]["desiredRevision"], 20)
    assert pair.rules == drive.windows.rules
    assert pair.new != old


DRIFT = {
    "a scale by hand": ("StatefulSet", lambda it: it["spec"].update(replicas=7)),
    "another selector": ("Service", lambda it: it["spec"].update(selector={"app": "x"})),
    "a selector with a key too many": ("Service", lambda it: it["spec"]["selector"].update(app="x")),
    "a lost label": ("Service", lambda it: it["metadata"]["labels"].pop("allod.dev/model")),
    "one more port": ("Service", lambda it: it["spec"]["ports"].append({"name": "debug", "port": 1})),
    "a lost annotation": ("NetworkPolicy", lambda it: it["metadata"].pop("annotations")),
}


@pytest.mark.parametrize("what", DRIFT)
async def test_drift_is_repaired(drive: Drive, what: str) -> None:
    kind, change = DRIFT[what]
    await settled(drive)
    target = next(each for each in drive.cluster.objects if each.kind == kind)
    before = essence(drive.cluster.objects[target])
    drive.cluster.edit(target, change)
    assert essence(drive.cluster.objects[target]) != before
    await drive.settle()
    assert essence(drive.cluster.objects[target]) == before


def essence(manifest: Manifest) -> Any:
    return manifest["metadata"].get("labels"), manifest["metadata"].get("annotations"), manifest["spec"]


async def test_a_group_that_lost_a_rank_is_ended_gently_enough_that_its_gpus_are_free_before_they_are_asked_for(drive: Drive) -> None:
    groups = {"engine": {"type": "vLLM"}, "nodes": 3, "parallelism": {"tensor": 3}, "model": {"uri": "pvc://models/qwen3"}}
    revision = await settled(drive, **groups)
    assert drive.cluster.names("StatefulSet") == (f"chat-{revision}-g0", f"chat-{revision}-g1")
    pods = {name: Ref("v1", "Pod", NAMESPACE, name) for name in drive.cluster.names("Pod")}
    uids = {name: drive.cluster.objects[target]["metadata"]["uid"] for name, target in pods.items()}
    lost = pods[f"chat-{revision}-g0-1"]
    ended = {"terminated": {"exitCode": 0, "finishedAt": "2026-11-20T00:07:00Z"}}
    engine = {"name": "engine", "ready": False, "restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended}
    drive.cluster.set_status(lost, drive.cluster.objects[lost]["status"] | {"conditions": [], "containerStatuses": [engine]})
    drive.now += timedelta(minutes=10)
    drive.cluster.writes.clear()
    await drive.reconcile()
    assert [target.name for verb, target in drive.cluster.writes if verb == "delete"] == [f"chat-{revision}-g0-{rank}" for rank in range(3)]
    drive.cluster.writes.clear()
    await drive.reconcile()
    assert "delete" not in [verb for verb, _ in drive.cluster.writes], "what is going is not ended twice"
    await drive.settle()
    after = {name: drive.cluster.objects[target]["metadata"]["uid"] for name, target in pods.items()}
    assert {name[-4:] for name, uid in uids.items() if after[name] != uid} == {"g0-0", "g0-1", "g0-2"}
    assert drive.condition("Ready")["message"].startswith("2 of 2 groups")
    assert [step["action"] for step in drive.model()["status"]["history"]].count("GroupRestarted") == 1


async def test_a_model_that_is_applied_again_lets_the_pods_of_the_deleted_one_end_first(drive: Drive) -> None:
    revision = await settled(drive, replicas=1)
    old = deepcopy(drive.cluster.of_kind("Pod")[0])
    drive.cluster.remove(model_ref(NAMESPACE, "chat"))
    drive.cluster.add(old)  # nobody has told it yet
    drive.create(replicas=1)
    drive.cluster.edit(model_ref(NAMESPACE, "chat"), lambda model: model["metadata"].update(creationTimestamp="2026-11-20T00:01:00Z"))
    await drive.settle()
    assert drive.cluster.names("StatefulSet") == ()
    drive.cluster.remove(ref(old))
    await drive.settle()
    assert drive.cluster.names("StatefulSet") == (f"chat-{revision}",)
    assert drive.condition("Ready")["status"] == "True"
