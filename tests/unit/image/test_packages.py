"""pip's settings of the machine, as uv and a build in a container get them."""

from __future__ import annotations

import pytest

from box.image.buildah import pip_conf
from box.image.packages import parse_settings, uv_variables


def test_the_environment_overrules_the_files_and_install_overrules_global() -> None:
    listed = (
        "install.index-url='https://install.example/simple'\n:env:.index-url='https://env.example/simple'\n"
        "global.index-url='https://global.example/simple'\ninstall.timeout='20'\nglobal.timeout='10'\nfreeze.timeout='5'\n"
    )
    assert parse_settings(listed) == {"index-url": "https://env.example/simple", "timeout": "20"}


def test_several_values_are_one_line() -> None:
    listed = r"global.extra-index-url='https://a.example/simple\nhttps://b.example/simple'"
    assert parse_settings(listed) == {"extra-index-url": "https://a.example/simple https://b.example/simple"}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, {}),
        ({"index-url": "https://a.example"}, {"UV_DEFAULT_INDEX": "https://a.example"}),
        ({"cert": "/etc/ca.pem", "timeout": "20"}, {"SSL_CERT_FILE": "/etc/ca.pem"}),
        ({"extra-index-url": "https://b.example"}, {"UV_INDEX": "https://b.example", "UV_INDEX_STRATEGY": "unsafe-best-match"}),
    ],
)
def test_uv_is_told_by_its_own_names(asked: dict[str, str], told: dict[str, str]) -> None:
    assert uv_variables(asked) == told


def test_a_build_learns_where_packages_come_from_and_no_folder_of_the_machine() -> None:
    asked = {"index-url": "https://a.example", "find-links": "/opt/wheels", "cert": "/run/secrets/ca", "user": "true"}
    assert pip_conf(asked) == "[global]\nindex-url = https://a.example\ncert = /run/secrets/ca\n"
