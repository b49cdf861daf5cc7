"""One cluster with two real nodes for all tests of this folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from box import Box, busybox
from cluster.release import Release
from cluster.space import Space
from support.crds import install_prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def box(worker_id: str) -> Iterator[Box]:
    """The cluster on this machine. One that is up is used and left up; otherwise it is brought up, and taken down at the end.

    Processes that test at the same time have a box each: most of these tests wait most of the time.
    """
    if worker_id not in ("master", "gw0"):
        os.environ["ALLOD_BOX"] = f"box-{worker_id}"
    found = Box()
    mine = not found.running and found.up()
    yield found
    if mine:
        found.down()


@pytest.fixture(scope="session")
def _busybox(box: Box) -> None:
    box.load([busybox.image()])


@pytest.fixture
def space(request: pytest.FixtureRequest, box: Box, _busybox: None) -> Iterator[Space]:
    """A namespace of its own for the test, in which Pods of `space.pod` can run."""
    made = Space.make(box, request.node.name)
    yield made
    made.delete()


@pytest.fixture(scope="session")
def release(box: Box, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The operator from its chart, as it is in this checkout, in a cluster that knows the kinds of the Prometheus Operator."""
    install_prometheus(box.plane)
    return Release.install(box, tmp_path_factory.mktemp("helm"))
