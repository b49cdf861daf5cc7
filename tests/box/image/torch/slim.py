"""The steps from the CUDA wheel to the CPU wheel: 24 CPU seconds, 730 MB of memory, 1 GB of disk for a while."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from box import machine
from box.errors import Failed, NotThere
from box.image.torch import elf, gaps, patches, stub, wheel

VERSION = "2.13.0"
"""The answers in stub.py and the edits in patches.py were found with this version. Another one needs `box.image check` and a look."""

SLIM_VERSION = f"{VERSION}+cpu"
PROGRAMS = {"gcc": "gcc", "readelf": "binutils"}
"""What slim() needs on the machine."""

LIBTORCH_CUDA = "libtorch_cuda.so"
REMOVED = (LIBTORCH_CUDA, "libtorch_cuda_linalg.so", "libtorch_nvshmem.so", "libcaffe2_nvrtc.so")
"""torch's own CUDA libraries, 500 MB."""

LEFT_OUT = ("torch/include/", "torch/share/", "torch/bin/", "torch/test/")
"""For building C++ extensions and for torch's own tests; nothing that serves or trains eagerly reads them."""
KEPT = ("torch/bin/torch_shm_manager",)


def slim(cuda_wheel: Path, folder: Path) -> Path:
    """Makes the CPU wheel in `folder` and returns its path. Raises Failed when the wheel is not the version that this is written for."""
    if machine.architecture() != "amd64":
        raise NotThere("The CPU wheel of torch is made of x86-64 code.", "On this machine use torch's own wheel: it has no CUDA there.")
    name = re.match(rf"torch-{re.escape(VERSION)}-(?P<tags>.+)\.whl$", cuda_wheel.name)
    if not name:
        raise Failed(f"{cuda_wheel.name} is not torch {VERSION}.", "Change VERSION in box/image/torch/slim.py only with what it explains.")
    out = folder / f"torch-{SLIM_VERSION}-{name['tags']}.whl"
    with tempfile.TemporaryDirectory(dir=folder, prefix="torch-") as unpacked:
        tree = Path(unpacked)
        wheel.unpack(cuda_wheel, tree, lambda path: path in KEPT or not path.startswith(LEFT_OUT))
        _stub_out_cuda(tree / "torch")
        patches.apply(tree, SLIM_VERSION)
        _rename(tree)
        wheel.pack(tree, out)
    return out


def _stub_out_cuda(torch: Path) -> None:
    lib = torch / "lib"
    removed = {}
    for name in REMOVED:
        removed.update(elf.symbols(lib / name).offered)
        (lib / name).unlink()
    kept = [*sorted(lib.glob("*.so*")), *sorted(torch.glob("*.so"))]
    missing = gaps.missing_symbols(elf.symbols(library) for library in kept)
    libraries = gaps.missing_libraries((name for library in kept for name in elf.needed(library)), (library.name for library in kept))
    for name, symbols in gaps.share_out(missing, sorted(libraries), removed, LIBTORCH_CUDA).items():
        if name == LIBTORCH_CUDA:
            objects = {symbol: removed[symbol].size for symbol in symbols if removed[symbol].kind == "OBJECT"}
            stub.link(stub.cpp_library(symbols - set(objects), objects), lib / name, version=None, libc=True)
        else:
            version = name if name in missing.values() else None
            stub.link(stub.c_library(symbols), lib / name, version=version, libc=False)


def _rename(tree: Path) -> None:
    dist_info = (tree / f"torch-{VERSION}.dist-info").rename(tree / f"torch-{SLIM_VERSION}.dist-info")
    text = (dist_info / "METADATA").read_text()
    (dist_info / "METADATA").write_text(patches.metadata(text, SLIM_VERSION))
