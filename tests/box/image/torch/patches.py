"""Edits of torch's Python files, so that they take the branches of a CPU build. Each edit insists on finding its place once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Without this transformers asks torch._C whether a CUDA stream is being captured, and the training process ends with SIGSEGV.
NO_CUDA_IN_C = """
import torch._C as _slim  # this wheel has no CUDA: torch._C looks like that of a CPU build

for _name in dir(_slim):
    if "_benchmark" not in _name and (
        _name.startswith(("_cuda_", "_Cuda", "_CUDA", "_nccl_", "_FastCuda", "_StaticCuda"))
        or _name
        in {
            "_broadcast", "_broadcast_coalesced", "_broadcast_out", "_construct_CUDA_Tensor_From_Storage_And_Metadata", "_cudart",
            "_cudnn", "_cusparselt", "_CUuuid", "_gather", "_gather_out", "_graph_pool_handle", "_MemPool", "_nvtx", "_scatter",
            "_scatter_out",
        }
    ):
        delattr(_slim, _name)
_slim._has_cuda = False
del _slim, _name


class SymInt:
"""
NCCL_IMPORT = "    from torch._C._distributed_c10d import ProcessGroupNCCL\n"


def apply(wheel: Path, version: str) -> None:
    """Edits the unpacked wheel in place; `version` is what the wheel calls itself from now on, such as `2.13.0+cpu`."""
    _edit(wheel / "torch/version.py", r"^__version__ = '.*'$", f"__version__ = '{version}'")
    _edit(wheel / "torch/version.py", r"^(cuda\b.*) = '.*'$", r"\1 = None")
    _edit(wheel / "torch/__init__.py", r"\nclass SymInt:\n", NO_CUDA_IN_C)
    _edit(
        wheel / "torch/distributed/distributed_c10d.py",
        re.escape(NCCL_IMPORT),
        "    raise ImportError  # this wheel has no CUDA\n" + NCCL_IMPORT,
    )


def metadata(text: str, version: str) -> str:
    """METADATA of the slim wheel: its version, and no requirement of NVIDIA's packages or triton."""
    text = re.sub(r"^Version: .*$", f"Version: {version}", text, count=1, flags=re.MULTILINE)
    return re.sub(r"^Requires-Dist: (cuda-|nvidia-|triton).*\n", "", text, flags=re.MULTILINE)


def _edit(path: Path, place: str, becomes: str) -> None:
    text, times = re.subn(place, becomes, path.read_text(), flags=re.MULTILINE)
    if times != 1:
        raise AssertionError(f"{path}: expected one {place!r}, found {times}. These edits are written for another version of torch.")
    path.write_text(text)
