"""One real control plane for all tests of this folder: API server, etcd, controllers, scheduler, pretended nodes. Seconds to start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from box.controlplane import control_plane as real_control_plane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from box.controlplane import ControlPlane


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """`.kubeconfig` is a path, `.kubectl(*args, stdin=...)` gives the output or raises with kubectl's own sentence."""
    with real_control_plane(tmp_path_factory.mktemp("control-plane"), fake_nodes=4, gpus=8) as plane:
        yield plane
