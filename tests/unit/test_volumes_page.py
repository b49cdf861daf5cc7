"""The pods of docs/volumes.md, which write what the pods of models read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from allod.render.serving import security

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples" / "volumes"
PAGE = (ROOT / "docs" / "volumes.md").read_text()


def document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    return found


@pytest.mark.parametrize("spec", [document("loader")["spec"], document("fetch")["spec"]["template"]["spec"]], ids=["loader", "fetch"])
def test_who_writes_a_model_runs_as_those_who_read_it(spec: dict[str, Any]) -> None:
    (container,) = spec["containers"]
    assert spec["securityContext"] == security.POD
    assert container["securityContext"] == security.CONTAINER
    claims = [volume["persistentVolumeClaim"]["claimName"] for volume in spec["volumes"] if "persistentVolumeClaim" in volume]
    assert claims == [document("claim")["metadata"]["name"]]


def test_the_job_runs_the_charts_image_of_vllm() -> None:
    values = yaml.safe_load((ROOT / "charts" / "allod" / "values.yaml").read_text())
    (container,) = document("fetch")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == values["engines"]["vllm"]["image"]


def test_the_page_links_each_manifest() -> None:
    assert [path.name for path in EXAMPLES.iterdir() if f"](examples/volumes/{path.name})" not in PAGE] == []
