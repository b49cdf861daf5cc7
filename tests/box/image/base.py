"""What `FROM docker.io/library/python:3.13-slim` gives in the box, without an image hub: Debian trixie and its Python 3.13."""

from __future__ import annotations

from typing import TYPE_CHECKING

from box import archive
from box.image import debian
from box.image.product import HERE, Product, remove

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = ("ca-certificates", "python3", "python3-venv")
TIDY = 'ln -s python3 "$1/usr/bin/python"; rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*'


def image(out: Path) -> None:
    """The container image."""
    tree = out.with_name("base-root.part.tar")
    remove(tree)
    try:
        debian.root(tree, "trixie", PACKAGES, variant="minbase", hook=TIDY)
        archive.write(out, IMAGE_NAME, [tree], cmd=["python3"])
    finally:
        remove(tree)


IMAGE_NAME = "docker.io/library/python:3.13-slim"
IMAGE = Product(
    "base",
    "images/base.tar",
    "Debian trixie with Python 3.13, under the name of the hub's image",
    image,
    (f"{HERE}/base.py", f"{HERE}/debian.py", "tests/box/archive.py"),
    image=IMAGE_NAME,
    programs=debian.PROGRAMS,
    root=True,
    seconds=50,
)
