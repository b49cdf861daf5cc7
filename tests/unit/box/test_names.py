"""Cluster DNS names, and images as archives: data in, data out."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from box import archive, dns, progress

if TYPE_CHECKING:
    from pathlib import Path

WEB = {"metadata": {"name": "web", "namespace": "a"}, "spec": {"clusterIP": "10.201.0.9"}}
OUTSIDE = {"metadata": {"name": "outside", "namespace": "a"}, "spec": {"type": "ExternalName"}}


def headless(**spec: object) -> dict[str, object]:
    return {"metadata": {"name": "peers", "namespace": "a"}, "spec": {"clusterIP": "None", **spec}}


SLICE = {
    "metadata": {"name": "peers-x", "namespace": "a", "labels": {"kubernetes.io/service-name": "peers"}},
    "endpoints": [
        {"addresses": ["10.200.1.2"], "hostname": "web-0", "conditions": {"ready": True}},
        {"addresses": ["10.200.2.2"], "hostname": "web-1", "conditions": {"ready": False}},
    ],
}


def test_a_service_has_its_cluster_address_and_an_external_one_none() -> None:
    assert list(dns.names([WEB, OUTSIDE], [])) == [("10.201.0.9", "web.a.svc.cluster.local")]


@pytest.mark.parametrize(("unready", "pods"), [(False, {"web-0"}), (True, {"web-0", "web-1"})])
def test_a_headless_service_has_its_ready_pods_or_all_when_it_says_so(*, unready: bool, pods: set[str]) -> None:
    found = list(dns.names([headless(publishNotReadyAddresses=unready)], [SLICE]))
    assert {name.split(".", maxsplit=1)[0] for _, name in found} == {"peers", *pods}


def test_an_image_holds_its_layers_and_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/motd").write_text("hello")
    (tmp_path / "program").write_text("#!/bin/sh")
    made = archive.write(
        tmp_path / "one.tar", "allod.test/one:1", [tmp_path / "root", tmp_path / "program"], cmd=["/program"], env={"A": "b"}, user="7"
    )
    with tarfile.open(made) as image:
        (listed,) = json.load(image.extractfile("manifest.json") or pytest.fail("no manifest"))
        config = json.load(image.extractfile(listed["Config"]) or pytest.fail("no config"))
        layers = []
        for layer in listed["Layers"]:
            with tarfile.open(fileobj=image.extractfile(layer)) as tar:
                layers.append({entry.name: entry.mode & 0o777 for entry in tar if entry.isfile()})
    assert listed["RepoTags"] == ["allod.test/one:1"]
    assert config["config"] == {"Env": [f"PATH={archive.PATH}", "A=b"], "Cmd": ["/program"], "User": "7"}
    assert [list(layer) for layer in layers] == [["etc/motd"], ["program"]]
    assert layers[1]["program"] == 0o755


def test_the_same_input_gives_the_same_image(tmp_path: Path) -> None:
    (tmp_path / "program").write_text("#!/bin/sh")
    images = [archive.write(tmp_path / f"{name}.tar", "allod.test/one:1", [tmp_path / "program"]).read_bytes() for name in "ab"]
    assert images[0] == images[1]


def test_a_long_step_shows_how_far_it_is() -> None:
    step = progress.Step("building", estimate=420)
    step.begun -= 250
    step.share = 0.5
    assert step.line() == "building [============>           ] 4:10 of ~7:00"
