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
IMAGE = Product(
    "operator",
    "images/operator.tar",
    "the operator, from images/operator/Dockerfile",
    image,
    (f"{HERE}/operatorimage.py", f"{HERE}/buildah.py"),
    (FOLDER, "pyproject.toml", "README.md", "LICENSE", "operator/allod", "images/engine"),
    needs=(base.IMAGE,),
    image=IMAGE_NAME,
    programs=buildah.PROGRAMS,
    root=True,
    seconds=40,
)
