"""The chart's life on real nodes: the operator comes, changes and goes, and a model answers throughout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from box import waiting
from cluster.models import Model, chat
from cluster.release import NAMESPACE, VALUES, built

if TYPE_CHECKING:
    from collections.abc import Iterator

    from box import Box
    from cluster.release import Release
    from cluster.space import Space

KINDS = "all,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets,leases,configmaps,secrets"
CLUSTER_KINDS = "clusterroles,clusterrolebindings"
OF_EVERY_NAMESPACE = {"serviceaccount/default", "configmap/kube-root-ca.crt"}


@pytest.fixture
def installed(release: Release) -> Iterator[Release]:
    """The release of all tests of this folder; as it was again at the end."""
    yield release
    release.helm.upgrade(*VALUES, built(), "--install", "--wait")


def uids(model: Model) -> set[str]:
    return {pod["metadata"]["uid"] for pod in model.pods()}


def operators(release: Release) -> set[str]:
    return {pod["metadata"]["uid"] for pod in release.pods() if "deletionTimestamp" not in pod["metadata"]}


def test_an_upgrade_exchanges_the_operator_and_restarts_no_model(installed: Release, space: Space) -> None:
    model = Model.apply(space, chat())
    model.wait("Ready", "True")
    before, served_by = operators(installed), uids(model)
    installed.helm.upgrade(*VALUES, built(), 'logLevel="debug"', 'engines.llamaCpp.image="registry.invalid/newer:1"', "--wait")
    waiting.until("both replicas are new", lambda: not operators(installed) & before and len(operators(installed)) == 2, seconds=60)
    waiting.until("a new replica leads", lambda: bool(installed.leader()), seconds=30)
    model.wait("Ready", "True")
    assert uids(model) == served_by
    assert model.ask().strip()


def test_an_uninstall_leaves_models_serving_and_an_install_takes_them_over(installed: Release, box: Box, space: Space) -> None:
    model = Model.apply(space, chat())
    model.wait("Ready", "True")
    served_by = uids(model)

    installed.helm.uninstall("--wait")
    waiting.until("the operator's pods are gone", lambda: installed.pods() == [], seconds=60)
    left = set(box.kubectl("get", KINDS, "--namespace", NAMESPACE, "--output", "name").split())
    assert left - OF_EVERY_NAMESPACE == {"lease.coordination.k8s.io/allod"}
    assert "allod" not in box.kubectl("get", CLUSTER_KINDS, "--output", "name")
    assert model.ask().strip()
    assert uids(model) == served_by

    installed.helm.install(*VALUES, "--wait")
    space.kubectl("scale", "mdl/chat", "--replicas=2")
    waiting.until("the new operator does what is asked", lambda: model.status().get("readyReplicas") == 2, seconds=60)
    assert served_by < uids(model)
