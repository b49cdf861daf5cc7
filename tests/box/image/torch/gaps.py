"""Which symbols the kept libraries want and nobody offers any more, and which stub library has to offer them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from box.image.torch.elf import Symbols, Wanted

CUDA_LIBRARY = re.compile(r"^lib(cu|nv|nccl)")
"""NVIDIA's libraries come from wheels of their own, which the slim wheel does not require."""

SYSTEM_VERSION = re.compile(r"^(GLIBC|GCC|GLIBCXX|CXXABI|GOMP|OMP|LIBC)")
"""Symbols with these versions come from the system's C and C++ libraries."""

PREFIXES = (
    ("cuFile", "libcufile"),
    ("cudnn", "libcudnn"),
    ("cupti", "libcupti"),
    ("cublasLt", "libcublasLt"),
    ("cublas", "libcublas"),
    ("cusparseLt", "libcusparseLt"),
    ("cusparse", "libcusparse"),
    ("cufft", "libcufft"),
    ("curand", "libcurand"),
    ("cusolver", "libcusolver"),
    ("nvrtc", "libnvrtc"),
    ("nvshmem", "libnvshmem"),
    ("nccl", "libnccl"),
    ("pnccl", "libnccl"),
    ("cuda", "libcudart"),
    ("__cuda", "libcudart"),
)
"""Which library of NVIDIA has the C functions with a prefix; the first match wins, so the longer prefix stands first."""


def missing_libraries(needed: Iterable[str], kept: Iterable[str]) -> set[str]:
    """The NVIDIA libraries that kept libraries are linked to."""
    return {name for name in needed if CUDA_LIBRARY.match(name)} - set(kept)


def missing_symbols(kept: Iterable[Symbols]) -> dict[str, str]:
    """Symbol -> version ("" for none) of all that some kept library needs and no kept library offers."""
    tables = list(kept)
    offered = {name for table in tables for name in table.offered}
    wanted: dict[str, list[Wanted]] = {}
    for table in tables:
        for name, want in table.wanted.items():
            if name not in offered:
                wanted.setdefault(name, []).append(want)
    return {
        name: next((want.version for want in wants if want.version), "")
        for name, wants in wanted.items()
        if not all(want.weak for want in wants)
    }


def share_out(missing: Mapping[str, str], libraries: Iterable[str], removed: Iterable[str], removed_library: str) -> dict[str, set[str]]:
    """Stub library -> the symbols that it offers.

    `libraries` are the NVIDIA libraries to stub; `removed` are the symbols of torch's own CUDA libraries, all offered by the stub
    `removed_library`. A symbol that belongs to none of them is the system's, and the dynamic linker will say so if that is wrong.
    """
    shares: dict[str, set[str]] = {library: set() for library in [*libraries, removed_library]}
    ours = set(removed)
    for symbol, version in missing.items():
        if SYSTEM_VERSION.match(version):
            continue
        if version in shares:
            shares[version].add(symbol)
        elif symbol in ours:
            shares[removed_library].add(symbol)
        elif library := _by_prefix(symbol, shares):
            shares[library].add(symbol)
    return shares


def _by_prefix(symbol: str, libraries: Iterable[str]) -> str | None:
    stem = next((stem for prefix, stem in PREFIXES if symbol.startswith(prefix)), None)
    return next((library for library in libraries if stem and library.startswith(f"{stem}.")), None)
