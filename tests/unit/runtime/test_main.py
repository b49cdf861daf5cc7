from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from allod.runtime.main import lift_descriptor_limit

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    """The soft limit of a container; yields the hard one."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_operator_takes_as_many_descriptors_as_it_may(few_descriptors: int) -> None:
    lift_descriptor_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (few_descriptors, few_descriptors)
