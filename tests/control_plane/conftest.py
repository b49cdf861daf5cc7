"""Real control planes: API server, etcd, controllers, scheduler, and pretended nodes. Five seconds each, so few are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from box.controlplane import control_plane as real_control_plane
from support.audit import audited
from support.crds import install_ours
from support.models import Models
from support.operator import Site, grant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from box.controlplane import ControlPlane


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """`.kubeconfig` is a path, `.kubectl(*args, stdin=...)` gives the output or raises with kubectl's own sentence."""
    with real_control_plane(tmp_path_factory.mktemp("control-plane"), fake_nodes=4, gpus=8) as plane:
        yield plane


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Of its own: operators look at all namespaces, and their tests stop the API server."""
    with real_control_plane(tmp_path_factory.mktemp("site"), fake_nodes=4, gpus=8) as plane:
        audit = audited(plane)
        install_ours(plane)
        yield Site(plane, grant(plane, tmp_path_factory.mktemp("rights")), audit)


@pytest.fixture
def models(site: Site, request: pytest.FixtureRequest) -> Iterator[Models]:
    """An empty namespace for each test."""
    mine = Models(site.plane, f"t{abs(hash(request.node.nodeid)) % 10**8}")
    yield mine
    mine.clear()
