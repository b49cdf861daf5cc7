"""What the chart grants is what the operator calls: nothing less, or it would fail; nothing more, or it could do harm."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from box import waiting
from support.audit import audited, called_verbs, refused
from support.chartplane import FAKE, chart_plane, get
from support.crds import wait_served
from support.engines import Engines
from support.helm import MINIMAL, Helm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from box.controlplane import ControlPlane
    from support.audit import Right

USER = "system:serviceaccount:allod-system:allod"
NEVER_CALLED: dict[Right, str] = {
    ("allod.dev", "modeldeployments/finalizers", "update"): "no call of its own: an admission plugin that OpenShift turns on asks for it",
}
REVISIONS = 8
"""More than the operator remembers."""
FOREIGN_KINDS = (
    ("monitoring.coreos.com", "PodMonitor", "podmonitors"),
    ("monitoring.coreos.com", "PrometheusRule", "prometheusrules"),
    ("gateway.networking.k8s.io", "HTTPRoute", "httproutes"),
)
"""Optional ones that the operator makes objects of."""
MODEL: dict[str, Any] = {
    "apiVersion": "allod.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "chat", "namespace": "ai"},
    "spec": {
        "model": {"uri": "hf://HuggingFaceTB/SmolLM2-135M-Instruct"},
        "engine": {"type": "vLLM"},
        "resources": {"memory": "1Gi"},
        "replicas": 2,
        "scheduling": {"tolerations": [FAKE]},
        "rollout": {"bake": "0s", "canary": {"parentRef": {"name": "edge"}}},
    },
}
LIGHT: dict[str, Any] = {
    "model": {"uri": "oci://registry.example.com/smollm2:1/model.gguf", "aliases": ["frail"]},
    "engine": {"type": "LlamaCpp"},
    "resources": {"memory": "1Gi"},
    "scheduling": {"tolerations": [FAKE]},
}


def foreign_crd(group: str, kind: str, plural: str) -> dict[str, Any]:
    """Enough of somebody else's API for its objects to be stored."""
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        # The names under *.k8s.io are protected: such a CRD has to say who approved it.
        "metadata": {"name": f"{plural}.{group}", "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"}},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def granted(rendered: list[dict[str, Any]]) -> set[Right]:
    """What the rendered roles bound to the operator allow."""
    roles = [each for each in rendered if each["kind"] in ("Role", "ClusterRole") and each["metadata"]["name"] in ("allod", "allod-leader")]
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@contextmanager
def operator(plane: ControlPlane, deployment: dict[str, Any], folder: Path) -> Iterator[None]:
    """The operator as the Deployment would run it: its environment, its ServiceAccount, and nothing of the administrator."""
    kubeconfig = yaml.safe_load(plane.kubeconfig.read_text())
    token = plane.kubectl("create", "token", "allod", "--namespace", "allod-system").strip()
    kubeconfig["users"] = [{"name": kubeconfig["users"][0]["name"], "user": {"token": token}}]
    mine = folder / "kubeconfig"
    mine.write_text(yaml.safe_dump(kubeconfig))
    given = {each["name"]: each["value"] for each in deployment["spec"]["template"]["spec"]["containers"][0]["env"] if "value" in each}
    pod = {"POD_NAMESPACE": "allod-system", "POD_NAME": "allod-here", "ALLOD_HTTP_HOST": "127.0.0.1", "ALLOD_HTTP_PORT": "0"}
    with (folder / "operator.log").open("ab") as log:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("allod"), "run"],
            env={**os.environ, **given, **pod, "KUBECONFIG": str(mine)},
            stdout=log,
            stderr=log,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def serves(plane: ControlPlane, replicas: int) -> bool:
    """Whether the model's newest spec is what serves, and nothing of an older revision is left."""
    model = get(plane, "modeldeployment", "chat", "--namespace", "ai")
    status = model.get("status", {})
    statefulsets = get(plane, "statefulsets", "--namespace", "ai")["items"]
    return bool(
        status.get("observedGeneration") == model["metadata"]["generation"]
        and status.get("readyReplicas") == replicas  # by the operator's own eyes: a StatefulSet tells of its pods a moment later
        and status.get("activeRevision") == status.get("desiredRevision")
        and [each["spec"]["replicas"] for each in statefulsets] == [replicas]
        and statefulsets[0].get("status", {}).get("readyReplicas", 0) == replicas
    )


def a_models_life(plane: ControlPlane) -> None:
    """Everything that the operator does: make, go without monitoring and Gateway, change until old revisions are forgotten, delete."""

    def apply(**changes: Any) -> None:
        plane.kubectl("apply", "--filename=-", stdin=json.dumps({**MODEL, "spec": {**MODEL["spec"], **changes}}))
        replicas = changes.get("replicas", MODEL["spec"]["replicas"])
        waiting.until(f"chat serves with {changes}", lambda: serves(plane, replicas), seconds=60, todo="Look at operator.log.")

    def children(kinds: str) -> list[str]:
        return [each["kind"] for each in get(plane, kinds, "--namespace", "ai", "--selector", "allod.dev/model=chat")["items"]]

    apply()
    it_happens_again(plane)
    waiting.until("it has a route", lambda: children("httproutes") == ["HTTPRoute"], seconds=60, todo="Look at operator.log.")
    apply(monitoring={"podMonitor": False, "prometheusRule": False}, rollout={"bake": "0s"})
    foreign = "podmonitors,prometheusrules,httproutes"
    waiting.until("monitoring is off", lambda: children(foreign) == [], seconds=30, todo="Look at operator.log.")
    for length in range(1024, 1024 + REVISIONS):
        apply(engine={"type": "vLLM", "maxModelLen": length})

    def remembered() -> int:
        """A StatefulSet's own revisions have these labels too."""
        found = get(plane, "controllerrevisions", "--namespace", "ai", "--selector", "allod.dev/model=chat")["items"]
        return sum(each["metadata"]["ownerReferences"][0]["kind"] == "ModelDeployment" for each in found)

    # Else this story says nothing about the right to do so.
    waiting.until("history is cut", lambda: 0 < remembered() < REVISIONS, seconds=30, todo="Look at operator.log.")
    plane.kubectl("delete", "modeldeployment", "chat", "--namespace", "ai", "--cascade=foreground", "--wait")


def it_happens_again(plane: ControlPlane) -> None:
    """A model loses all its pods again: the event of that is there already, and is counted up.

    No node takes new ones meanwhile: pretended pods are ready at once, and a look might come too late to see that none was. What is told
    depends on how far the scheduler was, one of two sentences, so the third loss at the latest tells one again.
    """
    nodes = [each["metadata"]["name"] for each in get(plane, "nodes")["items"]]

    def counts() -> list[int]:
        found = get(plane, "events.events.k8s.io", "--namespace", "ai")["items"]
        return [(each.get("series") or {"count": 1})["count"] for each in found if each["reason"] == "NotReady"]

    for times in range(1, 4):
        plane.kubectl("cordon", *nodes)
        plane.kubectl("delete", "pods", "--namespace", "ai", "--selector", "allod.dev/model=chat", "--wait")
        waiting.until("it is told", partial(lambda least: sum(counts()) >= least, times), seconds=30, todo="Look at operator.log.")
        plane.kubectl("uncordon", *nodes)
        waiting.until("it serves again", lambda: serves(plane, 2), seconds=60, todo="Look at operator.log.")
        if max(counts()) > 1:
            return
    raise AssertionError(f"three losses, and no event was counted up: {counts()}")


def a_pod_that_hangs(plane: ControlPlane) -> None:
    """Its standby takes over, and it is ended. Then the spec names no standby any more."""
    frail = {**LIGHT, "model": {"uri": LIGHT["model"]["uri"]}, "standby": {"modelDeploymentRef": {"name": "firm"}}}
    for name, spec in (("firm", LIGHT), ("frail", frail)):
        manifest = {**MODEL, "metadata": {"name": name, "namespace": "ai"}, "spec": spec}
        plane.kubectl("apply", "--filename=-", stdin=json.dumps(manifest))
        plane.kubectl("wait", "--for=condition=Ready", f"mdl/{name}", "--namespace", "ai", "--timeout=60s")

    def pod(name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = get(plane, "pods", "--namespace", "ai", "--selector", f"allod.dev/model={name}")["items"]
        return found[0] if found else {"metadata": {}}

    engines = Engines()
    try:
        engines.at(pod("firm")["status"]["podIP"])
        lost = pod("frail")
        engine = engines.at(lost["status"]["podIP"])
        waiting.until("it is heard", engine.asked.is_set, seconds=30)
        engine.hangs.set()
        ended = lost["metadata"]["uid"]
        waiting.until("the pod is another", lambda: pod("frail")["metadata"].get("uid", ended) != ended, seconds=30)
        plane.kubectl("patch", "mdl", "frail", "--namespace", "ai", "--type=merge", "--patch", '{"spec": {"standby": null}}')

        def opened() -> list[str]:
            policies = get(plane, "networkpolicies", "--namespace", "ai")["items"]
            return [each["metadata"]["name"] for each in policies if each["metadata"]["name"] == "frail.standby"]

        waiting.until("the standby is closed again", lambda: not opened(), seconds=60)
    finally:
        engines.end()
    plane.kubectl("delete", "modeldeployment", "frail", "firm", "--namespace", "ai", "--cascade=foreground", "--wait")


def a_pod_behind_its_list(plane: ControlPlane) -> None:
    """It says that it has no adapter, and the list has one: its kubelet is told to fetch the list."""
    adapters = [{"name": "one", "uri": "file:///srv/loras/one"}]
    plane.kubectl("apply", "--filename=-", stdin=json.dumps({**MODEL, "spec": {**MODEL["spec"], "replicas": 1, "adapters": adapters}}))
    plane.kubectl("wait", "--for=condition=Ready", "mdl/chat", "--namespace", "ai", "--timeout=60s")

    def pod() -> dict[str, Any]:
        found: dict[str, Any] = get(plane, "pods", "--namespace", "ai", "--selector", "allod.dev/model=chat")["items"][0]
        return found

    engines = Engines()
    try:
        engines.at(pod()["status"]["podIP"])
        told = "allod.dev/adapters"
        waiting.until("its kubelet is told", lambda: told in pod()["metadata"].get("annotations", {}), seconds=30)
    finally:
        engines.end()
    plane.kubectl("delete", "modeldeployment", "chat", "--namespace", "ai", "--cascade=foreground", "--wait")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, set[Right]]]:
    """The audit log of the operator's life under the chart's rights, and those rights."""
    with chart_plane(tmp_path_factory.mktemp("plane")) as plane:
        log = audited(plane)
        for group, kind, plural in FOREIGN_KINDS:
            plane.kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(foreign_crd(group, kind, plural)))
            wait_served(plane, f"{group}/v1", plural)
        helm = Helm(tmp_path_factory.mktemp("helm"), plane.kubeconfig)
        helm.install(MINIMAL)
        with operator(plane, get(plane, "deployment", "allod", "--namespace", "allod-system"), tmp_path_factory.mktemp("operator")):
            a_models_life(plane)
            a_pod_that_hangs(plane)
            a_pod_behind_its_list(plane)
        yield log, granted(helm.template(MINIMAL))


def test_no_request_of_the_operator_is_forbidden(story: tuple[Path, set[Right]]) -> None:
    log, _ = story
    assert refused(log, USER) == set()


def test_the_chart_grants_what_the_operator_calls(story: tuple[Path, set[Right]]) -> None:
    log, rights = story
    assert called_verbs(log, USER) - rights == set()


def test_the_chart_grants_nothing_that_the_operator_never_calls(story: tuple[Path, set[Right]]) -> None:
    log, rights = story
    assert rights - called_verbs(log, USER) == NEVER_CALLED.keys()
