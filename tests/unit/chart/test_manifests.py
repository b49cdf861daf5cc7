from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import kubernetes_validate  # type: ignore[import-untyped]  # it ships no types
import pytest
import yaml

from support.helm import FULL, MINIMAL, Helm

if TYPE_CHECKING:
    from pathlib import Path

    from support.golden import Golden

Manifest = dict[str, Any]

VALUES = [pytest.param(MINIMAL, id="minimal"), pytest.param(FULL, id="full")]
NOT_OF_KUBERNETES = {"PodMonitor"}
"""Kinds of other projects, for which Kubernetes has no schema."""
RESTRICTED_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def of_kind(objects: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in objects if manifest["kind"] == kind]


def without_crds(rendered: str) -> str:
    """The CRDs are compared with crds/ where they are generated; here they would hide everything else."""
    documents = rendered.split("---\n")
    return "---\n".join(document for document in documents if "kind: CustomResourceDefinition" not in document)


@pytest.mark.parametrize("values", VALUES)
def test_what_helm_renders_is_what_was_reviewed(helm: Helm, golden: Golden, values: Path) -> None:
    golden.check(f"chart/{values.name.removesuffix('-values.yaml')}.yaml", without_crds(helm.text(values)))


@pytest.mark.parametrize("values", VALUES)
def test_helm_lint_has_nothing_to_say(helm: Helm, values: Path) -> None:
    said = helm.run("lint", "--strict", "charts/allod", "--values", values)
    assert "1 chart(s) linted, 0 chart(s) failed" in said
    assert "[WARNING]" not in said


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("kubernetes", ["1.30.0", "1.36.0"], ids=["the oldest that Chart.yaml lets in", "the one that the box runs"])
def test_every_object_fits_the_strict_schemas_of_kubernetes(helm: Helm, values: Path, kubernetes: str) -> None:
    objects = [manifest for manifest in helm.template(values) if manifest["kind"] not in NOT_OF_KUBERNETES]
    assert len(objects) >= 10
    for manifest in objects:
        kubernetes_validate.validate(manifest, kubernetes, strict=True)


@pytest.mark.parametrize("values", VALUES)
def test_every_pod_passes_pod_security_restricted(helm: Helm, values: Path) -> None:
    deployments = of_kind(helm.template(values), "Deployment")
    assert [deployment["metadata"]["name"] for deployment in deployments] == ["allod"]
    for deployment in deployments:
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 65532
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys()
        assert all(volume.keys() - {"name"} <= RESTRICTED_VOLUMES for volume in pod.get("volumes", []))
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert all("hostPort" not in port for port in container["ports"])
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]


def test_a_change_of_a_setting_rolls_the_deployment(helm: Helm) -> None:
    def pod(*values: str | Path) -> Manifest:
        template: Manifest = of_kind(helm.template(*values), "Deployment")[0]["spec"]["template"]
        return template

    assert pod(MINIMAL) != pod(MINIMAL, 'logLevel="debug"')
    assert pod(MINIMAL) != pod(MINIMAL, 'engines.vllm.image="registry.example.com/vllm:v1"')
    assert pod(MINIMAL) == pod(MINIMAL, "replicas=3")


def test_the_operator_is_scraped_where_the_prometheus_operator_is(helm: Helm) -> None:
    there = "--api-versions=monitoring.coreos.com/v1/PodMonitor"
    assert of_kind(helm.template(MINIMAL), "PodMonitor") == []
    (monitor,) = of_kind(helm.template(MINIMAL, there), "PodMonitor")
    assert of_kind(helm.template(MINIMAL, there, "metrics.podMonitor.enabled=false"), "PodMonitor") == []
    assert of_kind(helm.template(MINIMAL, "metrics.podMonitor.enabled=true"), "PodMonitor") == [monitor]
    assert monitor["spec"]["podMetricsEndpoints"][0]["honorLabels"] is True, "else alerts about models would read another label"


HTTPS = 'prometheus.url="https://prometheus.example.com"'


@pytest.mark.parametrize(
    ("values", "sources"),
    [
        pytest.param(('prometheus.url="http://p:9090"',), None, id="nothing but an address"),
        pytest.param(('prometheus.caBundle.configMap="ca"',), None, id="no address"),
        pytest.param(
            (HTTPS, 'prometheus.caBundle={"configMap": "ca", "key": "ca.pem"}'),
            [{"configMap": {"name": "ca", "items": [{"key": "ca.pem", "path": "ca.crt"}]}}],
            id="an authority",
        ),
        pytest.param(
            (HTTPS, 'prometheus.token.secret="t"'),
            [{"secret": {"name": "t", "items": [{"key": "token", "path": "token"}]}}],
            id="a token of a Secret",
        ),
        pytest.param(
            (HTTPS, "prometheus.token.serviceAccount=true"),
            [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}],
            id="the operator's own token",
        ),
        pytest.param(
            (HTTPS, 'prometheus.token={"serviceAccount": true, "audience": "prometheus"}'),
            [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3600, "audience": "prometheus"}}],
            id="a token that is for Prometheus alone",
        ),
    ],
)
def test_files_for_prometheus_are_mounted_when_they_are_needed(helm: Helm, values: tuple[str, ...], sources: list[Manifest] | None) -> None:
    (deployment,) = of_kind(helm.template(MINIMAL, *values), "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod.get("volumes") == (sources and [{"name": "prometheus", "projected": {"sources": sources}}])
    mounts = [{"name": "prometheus", "mountPath": "/etc/allod/prometheus", "readOnly": True}]
    assert pod["containers"][0].get("volumeMounts") == (sources and mounts)
    kubernetes_validate.validate(deployment, "1.36.0", strict=True)


PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}


@pytest.mark.parametrize(
    ("values", "egress"),
    [
        pytest.param((), [], id="no Prometheus"),
        pytest.param(('prometheus.url="http://p.monitoring:9090"',), [{"ports": [{"port": 9090}]}], id="the port of the address"),
        pytest.param(('prometheus.url="http://p/x"',), [{"ports": [{"port": 80}]}], id="http without a port"),
        pytest.param((HTTPS,), [{"ports": [{"port": 443}]}], id="https without a port"),
        pytest.param(('prometheus.url="http://[fd00::1]:9090"',), [{"ports": [{"port": 9090}]}], id="an IPv6 address"),
        pytest.param(
            (HTTPS, "networkPolicy.prometheusPorts=[9091]", f"networkPolicy.prometheusTo={json.dumps([PEER])}"),
            [{"ports": [{"port": 9091}], "to": [PEER]}],
            id="another port, and one peer alone",
        ),
    ],
)
def test_the_operator_may_reach_prometheus_and_not_more(helm: Helm, values: tuple[str, ...], egress: list[Manifest]) -> None:
    def allowed(*more: str) -> list[Manifest]:
        (policy,) = of_kind(helm.template(MINIMAL, *more), "NetworkPolicy")
        rules: list[Manifest] = policy["spec"]["egress"]
        return rules

    before, after = allowed(), allowed(*values)
    assert (after[: len(before)], after[len(before) :]) == (before, egress)
    rights = [manifest for kind in ("Role", "ClusterRole") for manifest in of_kind(helm.template(MINIMAL, *values), kind)]
    assert rights == [manifest for kind in ("Role", "ClusterRole") for manifest in of_kind(helm.template(MINIMAL), kind)]


def test_one_replica_has_no_disruption_budget_because_it_would_block_every_drain(helm: Helm) -> None:
    assert of_kind(helm.template(MINIMAL), "PodDisruptionBudget") != []
    assert of_kind(helm.template(MINIMAL, "replicas=1"), "PodDisruptionBudget") == []


def test_with_namespaces_the_operator_has_no_right_outside_of_them(helm: Helm) -> None:
    objects = helm.template(MINIMAL, 'namespaces=["ai", "research"]', "rbac.people=false")
    assert of_kind(objects, "ClusterRole") == []
    assert of_kind(objects, "ClusterRoleBinding") == []
    assert {role["metadata"]["namespace"] for role in of_kind(objects, "Role")} == {"ai", "research", "allod-system"}
    assert {binding["metadata"]["namespace"] for binding in of_kind(objects, "RoleBinding")} == {"ai", "research", "allod-system"}


def test_a_role_of_one_namespace_grants_what_the_cluster_role_grants(helm: Helm) -> None:
    cluster = next(role for role in of_kind(helm.template(MINIMAL), "ClusterRole") if role["metadata"]["name"] == "allod")
    roles = [role for role in of_kind(helm.template(MINIMAL, 'namespaces=["ai"]'), "Role") if role["metadata"]["namespace"] == "ai"]
    assert [role["rules"] for role in roles] == [cluster["rules"]]


def test_no_role_uses_a_wildcard_nor_reads_secrets(helm: Helm) -> None:
    objects = helm.template(MINIMAL)
    rules = [rule for kind in ("Role", "ClusterRole") for role in of_kind(objects, kind) for rule in role["rules"]]
    assert rules
    assert all("*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"] for rule in rules)
    assert all("secrets" not in rule["resources"] for rule in rules)


def test_roles_for_people_reach_kubernetes_own_roles_unless_told_otherwise(helm: Helm) -> None:
    def aggregated(*values: str | Path) -> dict[str, list[str]]:
        return {
            role["metadata"]["name"]: [label.rpartition("/")[2] for label in role["metadata"]["labels"] if "aggregate-to" in label]
            for role in of_kind(helm.template(*values), "ClusterRole")
        }

    people = {"allod-admin": ["aggregate-to-admin"], "allod-trainer": ["aggregate-to-edit"], "allod-caller": ["aggregate-to-view"]}
    assert aggregated(MINIMAL) == people | {"allod": []}
    assert aggregated(MINIMAL, "rbac.aggregate=false") == {name: [] for name in [*people, "allod"]}
    assert aggregated(MINIMAL, "rbac.people=false") == {"allod": []}


def test_two_releases_of_one_cluster_share_no_name(helm: Helm) -> None:
    second = ('namespaces=["ai"]', "rbac.people=false", "crds.install=false")
    first = {(manifest["kind"], manifest["metadata"].get("namespace"), manifest["metadata"]["name"]) for manifest in helm.template(MINIMAL)}
    other = {
        (manifest["kind"], manifest["metadata"].get("namespace"), manifest["metadata"]["name"])
        for manifest in helm.template(MINIMAL, *second, release="research")
    }
    assert ("Deployment", "allod-system", "research-allod") in other
    assert not first & other


def test_every_object_says_where_it_lives_and_who_made_it(helm: Helm) -> None:
    for manifest in helm.template(FULL):
        if manifest["kind"] == "CustomResourceDefinition":
            continue
        assert manifest["metadata"]["labels"]["app.kubernetes.io/name"] == "allod"
        assert ("namespace" in manifest["metadata"]) is not manifest["kind"].startswith("Cluster")


def test_an_oddly_long_release_name_still_gives_valid_names(helm: Helm) -> None:
    names = {manifest["metadata"]["name"] for manifest in helm.template(MINIMAL, release="a" * 53) if manifest["kind"] == "Deployment"}
    assert names == {"a" * 47 + "-allod"}


@pytest.mark.parametrize(("kubernetes", "refused"), [("1.29.9", True), ("1.30.0", False), ("1.31.4-eks-1a2b3c", False)])
def test_a_cluster_that_is_too_old_is_refused_before_anything_is_made(helm: Helm, kubernetes: str, refused: bool) -> None:  # noqa: FBT001 - a column of the table
    words = ("template", "allod", "charts/allod", "--values", MINIMAL, "--kube-version", kubernetes)
    if refused:
        with pytest.raises(AssertionError, match=r"requires kubeVersion: >=1.30.0-0 which is incompatible with Kubernetes v1.29.9"):
            helm.run(*words)
    else:
        assert list(yaml.safe_load_all(helm.run(*words)))
