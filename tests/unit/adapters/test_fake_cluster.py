from __future__ import annotations

import pytest

from support.cluster import FakeCluster
from support.kubecontract import KubeContract


@pytest.fixture
def kube() -> FakeCluster:
    return FakeCluster()


class TestFakeCluster(KubeContract):
    """The fake keeps the contract that the real API server is held to in tests/control_plane."""
