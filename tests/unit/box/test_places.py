"""What the box puts on a machine: Debian packages that README names, and one cache."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from box import cache, gobuild
from box.tools import MACHINE

README = Path(__file__).parents[3] / "README.md"


def test_the_readme_names_every_package_that_the_box_would_install() -> None:
    lines = re.findall(r"^apt-get install .*$", README.read_text(), re.MULTILINE)
    named = {word for line in lines for word in line.partition("#")[0].split()}
    assert set(MACHINE.values()) <= named


@pytest.mark.parametrize(
    ("of", "build", "modules"),
    [
        ({}, "go/build", "go/mod"),
        ({"GOCACHE": "", "GOPATH": ""}, "go/build", "go/mod"),
        ({"GOCACHE": "/fast", "GOMODCACHE": "/mirror"}, "/fast", "/mirror"),
        ({"GOPATH": "/mine"}, "go/build", None),
        ({"GOPATH": "/mine", "GOMODCACHE": "/mirror"}, "go/build", "/mirror"),
    ],
    ids=str,
)
def test_go_keeps_its_caches_in_ours_unless_the_person_has_a_place(of: dict[str, str], build: str, modules: str | None) -> None:
    found = gobuild.environment(of)
    assert found["GOCACHE"] == str(cache.folder() / build)
    assert found.get("GOMODCACHE") == (modules and str(cache.folder() / modules))
    assert found["GOFLAGS"].startswith("-mod=readonly")
