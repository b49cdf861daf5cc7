"""The slim torch wheel: which symbols go where. That the result computes is shown by `box.image check torch`."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from typing import TYPE_CHECKING

import pytest

from box.errors import Failed
from box.image.torch import elf, gaps, patches, stub, wheel
from box.image.torch.elf import Offered, Symbols, Wanted
from box.image.torch.slim import slim

if TYPE_CHECKING:
    from pathlib import Path

LISTING = """
Symbol table '.dynsym' contains 5 entries:
   Num:    Value          Size Type    Bind   Vis      Ndx Name
     0: 0000000000000000     0 NOTYPE  LOCAL  DEFAULT  UND
     1: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND cudaMalloc@libcudart.so.13 (5)
     2: 0000000000000000     0 NOTYPE  WEAK   DEFAULT  UND __gmon_start__
     3: 0000000000001139    22 FUNC    GLOBAL DEFAULT   14 _ZN2at3addEv
     4: 0000000000004010  0x40 OBJECT  WEAK   DEFAULT   25 _ZTVN3c105ErrorE@@LIBC10_1
"""


def library(*offered: str, **wanted: str) -> Symbols:
    return Symbols({name: Offered("FUNC", 8) for name in offered}, {name: Wanted(version, weak=False) for name, version in wanted.items()})


def test_readelf_is_read_as_what_is_offered_and_what_is_wanted() -> None:
    found = elf.parse_symbols(LISTING)
    assert found.wanted == {"cudaMalloc": Wanted("libcudart.so.13", weak=False), "__gmon_start__": Wanted("", weak=True)}
    assert found.offered == {"_ZN2at3addEv": Offered("FUNC", 22), "_ZTVN3c105ErrorE": Offered("OBJECT", 64)}


def test_only_what_some_library_must_have_and_none_offers_is_missing() -> None:
    weak = Symbols({}, {"optional": Wanted("", weak=True)})
    kept = [library("add", mul="", cudaMalloc="libcudart.so.13"), library("mul"), weak]
    assert gaps.missing_symbols(kept) == {"cudaMalloc": "libcudart.so.13"}


def test_a_version_that_one_library_names_holds_for_all() -> None:
    assert gaps.missing_symbols([library(cudaFree=""), library(cudaFree="libcudart.so.13")]) == {"cudaFree": "libcudart.so.13"}


@pytest.mark.parametrize(
    ("symbol", "version", "offers"),
    [
        ("anything", "libcupti.so.13", "libcupti.so.13"),
        ("cudaLaunchKernel", "", "libcudart.so.13"),
        ("__cudaRegisterFatBinary", "", "libcudart.so.13"),
        ("ncclAllReduce", "", "libnccl.so.2"),
        ("_ZN2at4cuda4seedEv", "", "libtorch_cuda.so"),
        ("malloc", "GLIBC_2.2.5", None),
        ("__cxa_throw", "CXXABI_1.3", None),
        ("cublasCreate", "", None),
    ],
)
def test_each_missing_symbol_is_offered_by_the_stub_that_had_it(symbol: str, version: str, offers: str | None) -> None:
    libraries = ["libcudart.so.13", "libcupti.so.13", "libnccl.so.2"]
    shares = gaps.share_out({symbol: version}, libraries, ["_ZN2at4cuda4seedEv"], "libtorch_cuda.so")
    assert {library for library, symbols in shares.items() if symbol in symbols} == ({offers} if offers else set())


def test_only_nvidias_libraries_are_stubbed() -> None:
    needed = ["libcudart.so.13", "libc.so.6", "libnvrtc.so.13", "libnccl.so.2", "libtorch_cpu.so", "libcudnn.so.9"]
    assert gaps.missing_libraries(needed, ["libcudnn.so.9"]) == {"libcudart.so.13", "libnvrtc.so.13", "libnccl.so.2"}


@pytest.mark.parametrize(
    ("function", "does"),
    [
        ("_ZN4c10d16get_gil_checkerEv", "leaq .Lmemory(%rip), %rax"),
        ("_ZN3sdp22can_use_flash_attentionEv", "xorl %eax, %eax"),
        ("_ZN4c10d16ProcessGroupNCCL7OptionsC1Eb", f"jmp {stub.GLOO_OPTIONS}@plt"),
        ("_ZN2at4cuda4seedEv", "jmp .Labort"),
    ],
)
def test_a_removed_function_answers_what_a_cpu_process_looks_at_and_else_aborts(function: str, does: str) -> None:
    text = stub.cpp_library({function}, {})
    body = text[text.index(f"{function}:") : text.index(f".size {function}")]
    assert does in body


def test_a_function_of_cuda_says_that_there_is_no_device() -> None:
    text = stub.c_library({"cudaMalloc", "cudaGetDeviceCount"})
    assert "cudaMalloc:\n  movl $100, %eax\n  ret" in text
    assert "cudaGetDeviceCount:\n  movl $0, (%rdi)\n  xorl %eax, %eax\n  ret" in text


def test_a_type_info_carries_its_real_name() -> None:
    text = stub.cpp_library(set(), {"_ZTIN4c105ErrorE": 24})
    assert '.Ltype__ZTIN4c105ErrorE: .asciz "N4c105ErrorE"' in text
    assert ".size _ZTIN4c105ErrorE, 24" in text


def test_the_metadata_requires_nothing_of_nvidia() -> None:
    before = (
        "Name: torch\nVersion: 2.13.0\nRequires-Dist: sympy\nRequires-Dist: nvidia-nccl-cu13==2\n"
        "Requires-Dist: triton==3\nRequires-Dist: cuda-toolkit==13\n\nVersion: of the text\n"
    )
    assert patches.metadata(before, "2.13.0+cpu") == "Name: torch\nVersion: 2.13.0+cpu\nRequires-Dist: sympy\n\nVersion: of the text\n"


def test_another_version_of_torch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"torch-2\.15\.0-cp313.* is not torch 2\.13\.0"):
        slim(tmp_path / "torch-2.15.0-cp313-cp313-manylinux_2_28_x86_64.whl", tmp_path)


def test_a_file_that_was_moved_by_another_version_stops_the_edit(tmp_path: Path) -> None:
    for name in ("version.py", "__init__.py"):
        (tmp_path / "torch").mkdir(exist_ok=True)
        (tmp_path / "torch" / name).write_text("__version__ = '2.15.0'\ncuda: Optional[str] = '13.2'\n")
    with pytest.raises(AssertionError, match=r"class SymInt.* found 0"):
        patches.apply(tmp_path, "2.15.0+cpu")


def test_a_packed_wheel_lists_itself_and_its_bytes_depend_on_the_files_alone(tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    (folder / "pkg-1.dist-info").mkdir(parents=True)
    (folder / "pkg-1.dist-info" / "RECORD").write_text("old")
    (folder / "pkg.py").write_text("x = 1\n")
    wheel.pack(folder, tmp_path / "one.whl")
    (folder / "pkg.py").touch()
    wheel.pack(folder, tmp_path / "two.whl")
    assert (tmp_path / "one.whl").read_bytes() == (tmp_path / "two.whl").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.whl") as packed:
        record = list(csv.reader(io.StringIO(packed.read("pkg-1.dist-info/RECORD").decode())))
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"x = 1\n").digest()).decode().rstrip("=")
    assert record == [["pkg.py", f"sha256={digest}", "6"], ["pkg-1.dist-info/RECORD", "", ""]]
