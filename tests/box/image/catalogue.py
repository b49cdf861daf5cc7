"""Everything that can be built. A new image is a module with a Product, and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from box.errors import NotThere
from box.image import base, gateway, llamacpp, model, operatorimage, vllm

if TYPE_CHECKING:
    from box.image.product import Product

IMAGES: tuple[Product, ...] = (
    *(base.IMAGE, operatorimage.IMAGE, llamacpp.IMAGE, gateway.IMAGE),
    *(model.GGUF_IMAGE, model.SAFETENSORS_IMAGE, vllm.IMAGE),
)
FILES: tuple[Product, ...] = (
    *(model.GGUF_FILE, model.SAFETENSORS_FOLDER, vllm.TORCH, vllm.ROOT, llamacpp.ROOT),
    *(gateway.ROOT, gateway.DEFINITIONS),
)


def named(name: str) -> tuple[Product, ...]:
    """The product with that name; `all` stands for every image."""
    if name == "all":
        return IMAGES
    found = tuple(product for product in (*IMAGES, *FILES) if product.name == name)
    if not found:
        names = ", ".join(product.name for product in (*IMAGES, *FILES))
        raise NotThere(f"There is no recipe named {name}.", f"These exist: {names}, and all (every image).")
    return found
