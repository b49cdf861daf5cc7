"""The operator's image, from images/operator/Dockerfile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from box.image import base, buildah
from box.image.product import HERE, REPOSITORY, Product

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "images/operator"


def image(out: Path) -> None:
    """The container image."""
    buildah.build(out, IMAGE_NAME, REPOSITORY / FOLDER / "Dockerfile", REPOSITORY, base.IMAGE.path)


IMAGE_NAME = "allod.test/operator:dev"
PROGRAMS = tuple(f"images/engine/{name}.py" for name in ("watchdog", "allod_adapters", "rank", "hub", "cause"))
IMAGE = Product(
    "operator",
    "images/operator.tar",
    "the operator, from images/operator/Dockerfile",
    image,
    (f"{HERE}/operator.py", f"{HERE}/buildah.py"),
    (FOLDER, "pyproject.toml", "README.md", "LICENSE", "operator/allod", *PROGRAMS),
    needs=(base.IMAGE,),
    image=IMAGE_NAME,
    programs=buildah.PROGRAMS,
    root=True,
    seconds=40,
)
