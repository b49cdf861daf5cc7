from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml

from support.chartplane import NODES, ON_FAKE_NODES, chart_plane, get
from support.helm import CHART, MINIMAL, Helm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from box.controlplane import ControlPlane

CRD = "modeldeployments.allod.dev"
MODEL = """
apiVersion: allod.dev/v1alpha1
kind: ModelDeployment
metadata: {name: chat, namespace: ai}
spec:
  model: {uri: "oci://registry.example.com/models/smollm2:1/model.gguf"}
  engine: {type: LlamaCpp}
  resources: {memory: 1Gi}
"""
KINDS = (
    "deployments,services,serviceaccounts,poddisruptionbudgets,networkpolicies,roles,rolebindings,clusterroles,clusterrolebindings,secrets"
)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with chart_plane(tmp_path_factory.mktemp("plane")) as running:
        yield running


@pytest.fixture
def helm(plane: ControlPlane, tmp_path: Path) -> Iterator[Helm]:
    """Nothing is installed before and after each test."""
    yield (helm := Helm(tmp_path, plane.kubeconfig))
    for release in json.loads(helm.run("list", "--all-namespaces", "--output", "json")):
        helm.run("uninstall", release["name"], "--namespace", release["namespace"], "--wait")
    plane.kubectl("delete", "crd", CRD, "--ignore-not-found", "--wait")


def ours(plane: ControlPlane) -> set[str]:
    """Everything in the cluster that carries the chart's label or belongs to Helm, as KIND/NAME."""
    found = get(plane, KINDS, "--all-namespaces", "--selector", "app.kubernetes.io/name=allod")["items"]
    found += get(plane, "secrets", "--all-namespaces", "--selector", "owner=helm")["items"]
    return {f"{each['kind']}/{each['metadata']['name']}" for each in found}


def test_an_install_gets_ready_in_a_namespace_that_enforces_restricted_pods(plane: ControlPlane, helm: Helm) -> None:
    helm.install(MINIMAL, ON_FAKE_NODES, "--wait")
    deployment = get(plane, "deployment", "allod", "--namespace", "allod-system")
    assert deployment["status"]["readyReplicas"] == 2
    nodes = {pod["spec"]["nodeName"] for pod in get(plane, "pods", "--namespace", "allod-system")["items"]}
    assert len(nodes) == NODES, "the replicas share a node although each could have its own"


def test_what_the_notes_tell_a_person_to_apply_is_accepted(plane: ControlPlane, helm: Helm) -> None:
    notes = helm.install(MINIMAL)
    manifest = re.search(r"<<EOF\n(.*?)\n +EOF$", notes, re.DOTALL | re.MULTILINE)
    assert manifest
    plane.kubectl("apply", "--dry-run=server", "--filename=-", stdin=manifest[1])


def test_an_upgrade_brings_new_crds_and_leaves_models_as_they_are(plane: ControlPlane, helm: Helm, tmp_path: Path) -> None:
    helm.install(MINIMAL)
    plane.kubectl("apply", "--filename=-", stdin=MODEL)
    before = get(plane, "modeldeployment", "chat", "--namespace", "ai")
    newer = shutil.copytree(CHART, tmp_path / "newer")
    for template in (newer / "templates" / "crds").iterdir():
        text = template.read_text()
        template.write_text(text.replace("- mdl\n", "- mdl\n    - newer\n"))
        assert template.read_text() != text
    helm.upgrade(MINIMAL, 'logLevel="debug"', chart=newer)
    assert get(plane, "crd", CRD)["spec"]["names"]["shortNames"] == ["mdl", "newer"]
    assert get(plane, "modeldeployment", "chat", "--namespace", "ai") == before
    container = get(plane, "deployment", "allod", "--namespace", "allod-system")["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "ALLOD_LOG_LEVEL", "value": "debug"} in container["env"]


def test_an_uninstall_leaves_the_crds_and_the_models_and_nothing_else(plane: ControlPlane, helm: Helm) -> None:
    helm.install(MINIMAL)
    plane.kubectl("apply", "--filename=-", stdin=MODEL)
    assert {"Deployment/allod", "ClusterRole/allod", "ClusterRole/allod-admin"} <= ours(plane)
    helm.uninstall("--wait")
    assert ours(plane) == set()
    assert [crd["metadata"]["name"] for crd in get(plane, "crds", "--selector", "app.kubernetes.io/name=allod")["items"]] == [CRD]
    assert get(plane, "modeldeployment", "chat", "--namespace", "ai")["metadata"]["name"] == "chat"


def test_a_second_install_takes_the_kept_crds_over(plane: ControlPlane, helm: Helm) -> None:
    helm.install(MINIMAL)
    helm.uninstall("--wait")
    helm.install(MINIMAL)
    assert get(plane, "crd", CRD)["metadata"]["annotations"]["meta.helm.sh/release-name"] == "allod"


def test_crds_go_with_the_release_only_when_that_was_asked_for(plane: ControlPlane, helm: Helm) -> None:
    helm.install(MINIMAL, "crds.keep=false")
    helm.uninstall("--wait")
    assert CRD not in {crd["metadata"]["name"] for crd in get(plane, "crds")["items"]}


def test_crds_of_somebody_else_are_not_touched(plane: ControlPlane, helm: Helm) -> None:
    crds = [manifest for manifest in helm.template(MINIMAL) if manifest["kind"] == "CustomResourceDefinition"]
    plane.kubectl("apply", "--server-side", "--filename=-", stdin=yaml.safe_dump_all(crds))
    plane.kubectl("wait", "--for=condition=Established", f"crd/{CRD}")
    before = get(plane, "crd", CRD)["metadata"]["generation"]
    helm.install(MINIMAL, "crds.install=false")
    helm.uninstall("--wait")
    after = get(plane, "crd", CRD)["metadata"]
    assert after["generation"] == before
    assert "meta.helm.sh/release-name" not in after.get("annotations", {})


def test_a_second_operator_for_other_namespaces_lives_beside_the_first(plane: ControlPlane, helm: Helm) -> None:
    helm.install(MINIMAL, 'namespaces=["ai"]')
    other = replace(helm, namespace="allod-research")
    other.install(MINIMAL, 'namespaces=["research"]', "rbac.people=false", "crds.install=false", release="research")
    assert {"Deployment/allod", "Deployment/research-allod"} <= ours(plane)


def test_the_health_check_is_added_to_argo_cds_settings_and_leaves_the_others(plane: ControlPlane) -> None:
    key = "resource.customizations.health.allod.dev_ModelDeployment"
    script = CHART / "files" / "health.lua"
    settings = ("configmap", "argocd-cm", "--namespace", "argocd")
    plane.kubectl("create", *settings, "--from-literal=url=https://argocd.example.com")
    made = plane.kubectl("create", *settings, f"--from-file={key}={script}", "--dry-run=client", "--output=yaml")
    plane.kubectl("apply", "--server-side", "--field-manager=allod", "--filename=-", stdin=made)
    assert get(plane, *settings)["data"] == {"url": "https://argocd.example.com", key: script.read_text()}
