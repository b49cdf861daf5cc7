"""The operator on a real API server, with the chart's rights: what it makes, moves, repairs, leaves alone and leaves behind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from allod.adapters.resources import CONTROLLERREVISIONS, PODMONITORS, PROMETHEUSRULES, STATEFULSETS, Resource, resource
from box import waiting
from support.audit import events, refused
from support.crds import install_prometheus
from support.models import SPEC
from support.operator import USER, Operator, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.models import Models
    from support.operator import Site

SERVICES = resource("v1", "Service")
CONFIGMAPS = resource("v1", "ConfigMap")
NETWORKPOLICIES = resource("networking.k8s.io/v1", "NetworkPolicy")
BUDGETS = resource("policy/v1", "PodDisruptionBudget")
PODS = resource("v1", "Pod")
MODELDEPLOYMENTS = resource("allod.dev/v1alpha1", "ModelDeployment")
VLLM: dict[str, Any] = {"model": {"uri": "hf://org/name"}, "engine": {"type": "vLLM"}}
MONITORS = (PODMONITORS, PROMETHEUSRULES)


@pytest.fixture(scope="module", autouse=True)
def operator(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """One that leads during all tests of this module. At the end it must have nothing to complain about."""
    one = Operator(site.kubeconfig, tmp_path_factory.mktemp("operator"))
    with running(one):
        one.wait_leading()
        yield one
    assert one.complaints() == []
    assert refused(site.audit, USER) == set()


def writes(site: Site, namespace: str) -> list[str]:
    """What the operator wrote in a namespace, events included, as VERB URL."""
    told = [each for each in events(site.audit, USER) if each["verb"] not in ("get", "list", "watch")]
    return [f"{each['verb']} {each['requestURI']}" for each in told if each["objectRef"].get("namespace") == namespace]


def test_a_model_gets_its_children_and_gets_ready(models: Models) -> None:
    models.create()
    models.wait_settled()
    revision = models.revision()
    name = f"chat-{revision}"
    assert models.names("StatefulSet") == models.names("ControllerRevision") == [name]
    assert models.names("Service") == ["chat", name, f"{name}-peers"]
    assert models.names("NetworkPolicy") == models.names("PodDisruptionBudget") == ["chat"]
    assert models.names("Pod") == [f"{name}-0", f"{name}-1"]
    models.until("it is Ready", lambda: models.condition("Ready").get("status") == "True")
    assert models.get("chat", SERVICES)["spec"]["selector"]["allod.dev/revision"] == revision


def test_kubectl_tells_the_story(models: Models) -> None:
    models.create()
    models.wait_settled()
    said = models.plane.kubectl("describe", "modeldeployment", "chat", "--namespace", models.namespace)
    assert "Events:" in said
    assert "RevisionCreated" in said
    assert "allod" in said.partition("Events:")[2]


def test_an_edit_makes_a_revision_moves_to_it_and_removes_the_old_one(models: Models) -> None:
    models.create()
    models.wait_settled()
    old = models.revision()
    models.edit(engine={"maxModelLen": 2048})
    models.wait_settled()
    new = models.revision()
    assert new != old
    assert models.names("StatefulSet") == [f"chat-{new}"]
    assert models.names("Service") == ["chat", f"chat-{new}", f"chat-{new}-peers"]
    assert models.names("ControllerRevision") == sorted([f"chat-{old}", f"chat-{new}"])
    assert models.get("chat", SERVICES)["spec"]["selector"]["allod.dev/revision"] == new


def test_a_scale_changes_the_statefulset_in_place(models: Models) -> None:
    models.create()
    models.wait_settled()
    before = models.revision()
    models.plane.kubectl("scale", "modeldeployment/chat", "--replicas=3", "--namespace", models.namespace)
    models.wait_settled()
    assert models.revision() == before
    assert len(models.names("Pod")) == 3


NAMED = "chat"
REVISIONED = "chat-{revision}"
DRIFT: dict[str, tuple[Resource, str, dict[str, Any]]] = {
    "a StatefulSet scaled by hand": (STATEFULSETS, REVISIONED, {"spec": {"replicas": 0}}),
    "a StatefulSet's image": (
        STATEFULSETS,
        REVISIONED,
        {"spec": {"template": {"spec": {"containers": [{"name": "engine", "image": "evil:1"}]}}}},
    ),
    "the Service's selector": (SERVICES, NAMED, {"spec": {"selector": {"allod.dev/revision": "00000000"}}}),
    "a key too many in the Service's selector": (SERVICES, NAMED, {"spec": {"selector": {"app": "x"}}}),
    "a container too many": (
        STATEFULSETS,
        REVISIONED,
        {"spec": {"template": {"spec": {"containers": [{"name": "engine", "image": "i:1"}, {"name": "spy", "image": "i:1"}]}}}},
    ),
    "the Service's port": (SERVICES, NAMED, {"spec": {"ports": [{"name": "http", "port": 9999, "targetPort": "http"}]}}),
    "the revision Service's selector": (SERVICES, REVISIONED, {"spec": {"selector": {"allod.dev/traffic": "off"}}}),
    "the peers Service": (SERVICES, REVISIONED + "-peers", {"spec": {"publishNotReadyAddresses": False}}),
    "the NetworkPolicy": (NETWORKPOLICIES, NAMED, {"spec": {"ingress": None}}),
    "the PodDisruptionBudget": (BUDGETS, NAMED, {"spec": {"maxUnavailable": 2}}),
    "a label by which we know it": (SERVICES, NAMED, {"metadata": {"labels": {"app.kubernetes.io/managed-by": "somebody"}}}),
    "the label of the model": (SERVICES, NAMED, {"metadata": {"labels": {"allod.dev/model": None}}}),
    "the mark of what was applied": (SERVICES, NAMED, {"metadata": {"annotations": {"allod.dev/applied": "x"}}}),
}


@pytest.mark.parametrize("what", DRIFT)
def test_drift_is_repaired(models: Models, what: str) -> None:
    of, pattern, change = DRIFT[what]
    models.create()
    models.wait_settled()
    name = pattern.format(revision=models.revision())
    wanted = essence(models.get(name, of))
    models.patch(of, name, change)
    models.until(f"{what} is repaired", lambda: essence(models.get(name, of)) == wanted)


def essence(manifest: dict[str, Any]) -> Any:
    """What a person would compare: not what the API server counts, nor what controllers report."""
    meta = {key: manifest["metadata"].get(key) for key in ("labels", "annotations", "ownerReferences")}
    return json.loads(json.dumps({**meta, "spec": manifest.get("spec"), "data": manifest.get("data")}))


@pytest.mark.parametrize(
    ("of", "pattern"),
    [
        (STATEFULSETS, REVISIONED),
        (CONTROLLERREVISIONS, REVISIONED),
        (CONFIGMAPS, REVISIONED),
        (SERVICES, NAMED),
        (SERVICES, REVISIONED),
        (SERVICES, REVISIONED + "-peers"),
        (NETWORKPOLICIES, NAMED),
        (BUDGETS, NAMED),
    ],
    ids=lambda value: value.kind if isinstance(value, Resource) else value,
)
def test_a_deleted_child_comes_back(models: Models, of: Resource, pattern: str) -> None:
    models.create(**VLLM)
    models.wait_settled()
    name = pattern.format(revision=models.revision())
    old = models.get(name, of)["metadata"]["uid"]
    models.delete(of, name)
    models.until(f"{of.kind} {name} is back", lambda: other(models, of, name, old))
    models.wait_settled()


def other(models: Models, of: Resource, name: str, old: str) -> bool:
    return name in models.names(of.kind) and models.get(name, of)["metadata"]["uid"] != old


def test_an_unchanged_world_is_not_written_to(site: Site, models: Models, operator: Operator) -> None:
    models.create()
    models.create("embedder", **VLLM)
    models.wait_settled()
    models.wait_settled("embedder")
    models.until("both are Ready", lambda: {models.condition("Ready", name).get("status") for name in ("chat", "embedder")} == {"True"})
    rest(operator)
    before, reconciles = writes(site, models.namespace), operator.figure("allod_reconcile_total")
    for name in ("chat", "embedder"):  # a look at each, and at all they own, without a change to see
        for number in range(5):
            models.patch(MODELDEPLOYMENTS, name, {"metadata": {"annotations": {"somebody/looked": str(number)}}})
    for name in models.names("StatefulSet"):
        models.patch(STATEFULSETS, name, {"metadata": {"annotations": {"somebody/looked": "too"}}})
    models.until("the operator looked", lambda: operator.figure("allod_reconcile_total") > reconciles)
    rest(operator)
    assert writes(site, models.namespace) == before


def rest(operator: Operator) -> None:
    """Wait until two looks a second apart find that nothing was reconciled between them."""
    seen = [-1.0]

    def quiet() -> bool:
        seen.append(operator.figure("allod_reconcile_total"))
        return len(seen) > 20 and len(set(seen[-20:])) == 1

    waiting.until("the operator rests", quiet, seconds=30)


def test_twenty_edits_in_a_second_end_with_the_last(models: Models) -> None:
    models.create()
    models.wait_settled()
    for number in range(1, 21):
        models.edit(engine={"maxModelLen": 1024 * number})
    models.wait_settled(seconds=120)
    revision = models.revision()
    kept = models.get(f"chat-{revision}", CONTROLLERREVISIONS)
    assert kept["data"]["spec"]["engine"]["maxModelLen"] == 20480
    assert models.names("StatefulSet") == [f"chat-{revision}"]
    assert len(models.names("ControllerRevision")) <= 7


def test_a_model_deleted_in_the_middle_of_a_rollout_leaves_nothing(models: Models) -> None:
    models.create(replicas=3)
    models.wait_settled()
    models.edit(engine={"maxModelLen": 2048})
    models.until("two revisions are there", lambda: len(models.names("StatefulSet")) == 2)
    models.delete(MODELDEPLOYMENTS, "chat")
    models.until("nothing is left", lambda: models.owned() == [], seconds=60)


def test_a_model_made_again_under_its_name_serves_again(models: Models) -> None:
    models.create()
    models.wait_settled()
    models.delete(MODELDEPLOYMENTS, "chat")
    models.create()
    models.wait_settled(seconds=60)


def test_of_two_models_with_one_served_name_the_younger_is_refused_until_the_older_lets_go(models: Models) -> None:
    models.create("first", model={**SPEC["model"], "servedName": "shared"})
    models.wait_settled("first")
    models.create("second", model={**SPEC["model"], "aliases": ["shared"]})
    models.until("the younger is refused", lambda: "shared" in models.condition("Ready", "second").get("message", ""))
    assert models.condition("Ready", "second")["status"] == "False"
    assert models.names("StatefulSet") == [f"first-{models.revision('first')}"]
    models.edit("first", model={"servedName": "own"})
    models.wait_settled("second")
    models.wait_settled("first")


def test_of_three_models_of_one_second_and_one_name_one_runs_and_the_others_never_get_a_pod(site: Site, models: Models) -> None:
    names = {"third", "second", "first"}
    for name in names:
        models.create(name, model={**SPEC["model"], "servedName": "shared"})

    def refused_ones() -> set[str]:
        return {name for name in names if models.condition("Degraded", name).get("reason") == "NameTaken"}

    models.until("two are refused", lambda: len(refused_ones()) == 2)
    (runs,) = names - refused_ones()
    models.wait_settled(runs)
    says = f"{runs} already serves shared: "
    models.until("they say why", lambda: all(says in models.condition("Ready", name)["message"] for name in names - {runs}))
    made = {url.partition("?")[0].rpartition("/")[2] for url in writes(site, models.namespace) if "/statefulsets/" in url}
    assert made == {f"{runs}-{models.revision(runs)}"}
    models.delete(MODELDEPLOYMENTS, runs)
    models.until("the next one runs", lambda: len({name.rpartition("-")[0] for name in models.names("StatefulSet")} - {runs}) == 1)


def test_a_service_of_somebody_else_is_not_taken_over(models: Models) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "chat"},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "x"}},
    }
    models.plane.kubectl("create", "--namespace", models.namespace, "--filename=-", stdin=json.dumps(theirs))
    models.create()
    models.until("the model says so", lambda: models.condition("Degraded").get("reason") == "NameTaken")
    assert "Service" in models.condition("Degraded")["message"]
    assert models.get("chat", SERVICES)["spec"]["selector"] == {"app": "x"}
    assert "ownerReferences" not in models.get("chat", SERVICES)["metadata"]
    models.delete(SERVICES, "chat")  # no watch of ours tells of it
    models.edit(engine={"maxModelLen": 2048})
    models.wait_settled()


def test_what_the_api_server_refuses_is_a_sentence_in_the_status(models: Models) -> None:
    models.create(podTemplate={"spec": {"terminationGracePeriodSeconds": -5}})
    models.until("the model says so", lambda: models.condition("Degraded").get("reason") == "Refused")
    assert "terminationGracePeriodSeconds" in models.condition("Degraded")["message"]
    assert models.names("StatefulSet") == []
    models.edit(podTemplate=None)
    models.wait_settled()


def test_a_suspended_model_is_left_alone_and_still_reported(models: Models) -> None:
    models.create()
    models.wait_settled()
    revision = models.revision()
    models.edit(suspend=True, replicas=5, engine={"maxModelLen": 2048})
    models.until("it was seen", lambda: models.get()["status"]["observedGeneration"] == models.get()["metadata"]["generation"])
    models.patch(STATEFULSETS, f"chat-{revision}", {"spec": {"replicas": 1}})
    models.until("the pods are counted", lambda: models.get()["status"].get("readyReplicas") == 1)
    assert models.names("StatefulSet") == [f"chat-{revision}"]
    assert models.get(f"chat-{revision}", STATEFULSETS)["spec"]["replicas"] == 1
    models.edit(suspend=False)
    models.wait_settled()


def test_monitors_follow_when_the_prometheus_operator_is_installed_later(site: Site, models: Models) -> None:
    models.create()
    models.wait_settled()
    install_prometheus(site.plane)
    models.until("the monitors are there", lambda: [models.names(each.kind) for each in MONITORS] == [["chat"], ["chat"]], seconds=60)
    for each in MONITORS:  # and they are watched now: what is deleted comes back
        models.delete(each, "chat")
    models.until("the monitors are back", lambda: [models.names(each.kind) for each in MONITORS] == [["chat"], ["chat"]])
    models.edit(monitoring={"podMonitor": False, "prometheusRule": False})
    models.until("the monitors are gone", lambda: [models.names(each.kind) for each in MONITORS] == [[], []])
