from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from box import waiting
from support.chartplane import chart_plane
from support.helm import MINIMAL, Helm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from box.controlplane import ControlPlane

OPERATOR = "system:serviceaccount:allod-system:allod"
PEOPLE = {"ada": "allod-admin", "tom": "allod-trainer", "cai": "allod-caller", "adm": "admin", "edi": "edit", "vic": "view"}
"""Who has which ClusterRole, bound in the namespace ai."""
MODELS = "modeldeployments.allod.dev"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The chart installed for every namespace, and six people."""
    with chart_plane(tmp_path_factory.mktemp("plane")) as running:
        helm = Helm(tmp_path_factory.mktemp("helm"), running.kubeconfig)
        helm.install(MINIMAL)
        other = replace(helm, namespace="allod-research")
        other.install(MINIMAL, 'namespaces=["research"]', "rbac.people=false", "crds.install=false", release="research")
        for person, role in PEOPLE.items():
            running.kubectl("create", "rolebinding", person, f"--clusterrole={role}", f"--user={person}", "--namespace=ai")
        waiting.until("Kubernetes has aggregated the roles", lambda: may(running, "vic", "get", MODELS), seconds=30)
        yield running


def may(plane: ControlPlane, who: str, verb: str, resource: str, namespace: str = "ai") -> bool:
    """What the API server's authorizer answers. `resource` is PLURAL[.GROUP][/SUBRESOURCE or, for leases, /NAME]."""
    kind, _, below = resource.partition("/")
    plural, _, group = kind.partition(".")
    part = "name" if plural == "leases" else "subresource"
    asked = {"verb": verb, "group": group, "resource": plural, part: below, "namespace": namespace}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {"user": who, "resourceAttributes": asked}}
    answer = plane.api.send("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return answer["status"]["allowed"] is True


@pytest.mark.parametrize(
    ("person", "verb", "resource", "allowed"),
    [
        ("ada", "create", MODELS, True),
        ("ada", "delete", MODELS, True),
        ("ada", "patch", f"{MODELS}/scale", True),
        ("ada", "patch", f"{MODELS}/status", False),
        ("ada", "get", "secrets", False),
        ("tom", "get", MODELS, True),
        ("tom", "get", f"{MODELS}/scale", True),
        ("tom", "patch", MODELS, False),
        ("tom", "patch", f"{MODELS}/scale", False),
        ("cai", "get", MODELS, True),
        ("cai", "watch", MODELS, True),
        ("cai", "create", MODELS, False),
        ("cai", "get", "pods", False),
        ("adm", "create", MODELS, True),
        ("adm", "patch", f"{MODELS}/scale", True),
        ("edi", "get", MODELS, True),
        ("edi", "create", MODELS, False),
        ("vic", "get", MODELS, True),
        ("vic", "delete", MODELS, False),
    ],
)
def test_a_person_may_do_what_the_table_in_the_docs_says(
    plane: ControlPlane, person: str, verb: str, resource: str, *, allowed: bool
) -> None:
    assert may(plane, person, verb, resource) is allowed
    assert not may(plane, person, verb, resource, namespace="research"), "a binding in one namespace reached another"


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("get", "secrets"),
        ("list", "secrets"),
        ("create", "pods"),
        ("create", "pods/exec"),
        ("update", MODELS),
        ("patch", MODELS),
        ("delete", MODELS),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
        ("get", "leases.coordination.k8s.io"),
    ],
)
def test_the_operator_may_not(plane: ControlPlane, verb: str, resource: str) -> None:
    assert not may(plane, OPERATOR, verb, resource)


@pytest.mark.parametrize(("namespace", "allowed"), [("research", True), ("ai", False), ("allod-system", False)])
def test_an_operator_of_one_namespace_may_do_nothing_elsewhere(plane: ControlPlane, namespace: str, *, allowed: bool) -> None:
    who = "system:serviceaccount:allod-research:research-allod"
    assert may(plane, who, "patch", "statefulsets.apps", namespace) is allowed
    assert may(plane, who, "list", MODELS, namespace) is allowed


def test_a_leader_may_write_its_own_lease_alone(plane: ControlPlane) -> None:
    assert may(plane, OPERATOR, "update", "leases.coordination.k8s.io/allod", "allod-system")
    assert not may(plane, OPERATOR, "update", "leases.coordination.k8s.io/another", "allod-system")
