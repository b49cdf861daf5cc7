"""A stub library: it offers the symbols that the dynamic linker looks for at load, and stops the process if one is really called.

Empty stubs would not do. Data symbols (type_info, vtables) are resolved at load even with lazy binding, pybind11 reads the names of
type_infos when torch is imported, and a few functions are called by a process that only uses the CPU. Those have answers below, each found
by running; every other C++ function prints its name and aborts, so that a wrong guess shows itself.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

NO_DEVICE = 100
"""cudaErrorNoDevice: what the C functions of CUDA return on a machine without a GPU."""

ANSWERS = {
    "cudaGetDeviceCount": ("movl $0, (%rdi)", "xorl %eax, %eax", "ret"),
    "cudaGetDevice": ("movl $0, (%rdi)", "xorl %eax, %eax", "ret"),
    "cudaStreamIsCapturing": ("movl $0, (%rsi)", "xorl %eax, %eax", "ret"),
    "cudaGetLastError": ("xorl %eax, %eax", "ret"),
    "cudaGetErrorString": ("leaq .Lnocuda(%rip), %rax", "ret"),
    "cudaGetErrorName": ("leaq .Lnocuda(%rip), %rax", "ret"),
}
"""C functions whose results are looked at also without a GPU: no device, no error, no stream that captures."""

RETURNS_MEMORY = re.compile(r"get_gil_checker|getIntraNodeCommUsageCounter")
"""C++ functions whose result is written to: they get zeroed memory."""

RETURNS_ZERO = re.compile(
    r"is_nvshmem_available|can_use_\w*attention|is_flash_attention_available|CudaIPCCollect|isInitialized|4nccl7versionE|clearCublasWorkspaces"
)
"""C++ functions that ask whether CUDA can do something, or tidy up after it."""

NCCL_OPTIONS = "_ZN4c10d16ProcessGroupNCCL7OptionsC"
GLOO_OPTIONS = "_ZN4c10d16ProcessGroupGloo7OptionsC1ENSt6chrono8durationIlSt5ratioILl1ELl1000EEEE"
"""torch builds NCCL's options once at import, as a default argument that nothing reads: the smaller options of Gloo serve."""

TEN_MINUTES_MS = 600_000
CLASS_TYPE_INFO = "_ZTVN10__cxxabiv117__class_type_infoE+16"


def c_library(functions: Collection[str]) -> str:
    """The assembler text of a C library whose functions find no device."""
    lines = [*_head(), ".text"]
    for name in sorted(functions):
        lines += _function(name, ANSWERS.get(name, (f"movl ${NO_DEVICE}, %eax", "ret")))
    return "\n".join([*lines, ".section .rodata", '.Lnocuda: .asciz "this build of torch has no CUDA"', ""])


def cpp_library(functions: Collection[str], objects: Mapping[str, int]) -> str:
    """The assembler text of a C++ library whose functions abort with their name; `objects` gives the size of each data symbol."""
    numbers = {name: number for number, name in enumerate(sorted(functions))}
    lines = [*_head(), ".text"]
    for name, number in numbers.items():
        lines += _function(name, _cpp_answer(name, number))
    lines += _abort_with_name()
    lines += [f'.Lname{number}: .asciz "{name}"' for name, number in numbers.items()]
    lines += [f'.Ltype_{name}: .asciz "{name[4:]}"' for name in sorted(objects) if name.startswith("_ZTI")]
    lines += ['.section .data.rel,"aw",@progbits']
    for name, size in sorted(objects.items()):
        lines += _object(name, max(size, 8))
    return "\n".join([*lines, ".text", ".Lpure: ud2", ".bss", ".balign 64", ".Lmemory: .zero 4096", ""])


def link(assembler: str, out: Path, *, version: str | None, libc: bool) -> None:
    """Makes the library `out`; `version` is the symbol version that its users ask for, `libc` whether it calls the C library."""
    exports = f"{version} {{ global: *; }};\n" if version else "{ global: *; };\n"
    with tempfile.TemporaryDirectory() as folder:
        source, script = Path(folder, "stub.s"), Path(folder, "stub.map")
        source.write_text(assembler)
        script.write_text(exports)
        options = ["-shared", "-nostartfiles", *([] if libc else ["-nostdlib"]), f"-Wl,-soname,{out.name},--version-script={script},-s"]
        subprocess.run(["gcc", *options, "-o", str(out), str(source)], check=True)


def _head() -> list[str]:
    return ['.section .note.GNU-stack,"",@progbits']


def _function(name: str, body: Collection[str]) -> list[str]:
    return [f".globl {name}", f".type {name},@function", f"{name}:", *(f"  {line}" for line in body), f".size {name}, .-{name}"]


def _cpp_answer(name: str, number: int) -> tuple[str, ...]:
    if name.startswith(NCCL_OPTIONS):
        return (f"movl ${TEN_MINUTES_MS}, %esi", f"jmp {GLOO_OPTIONS}@plt")
    if RETURNS_MEMORY.search(name):
        return ("leaq .Lmemory(%rip), %rax", "ret")
    if RETURNS_ZERO.search(name):
        return ("xorl %eax, %eax", "ret")
    return (f"leaq .Lname{number}(%rip), %rdi", "jmp .Labort")


def _abort_with_name() -> list[str]:
    """puts(message); puts(name); fflush(NULL); abort(). The name comes in %rdi; it is pushed twice to keep the stack aligned."""
    calls = ("leaq .Lmessage(%rip), %rdi", "call puts@plt", "popq %rdi", "popq %rdi", "call puts@plt", "xorl %edi, %edi")
    body = ("andq $-16, %rsp", "pushq %rdi", "pushq %rdi", *calls, "call fflush@plt", "call abort@plt")
    message = '.Lmessage: .asciz "torch called into CUDA, which this build does not have:"'
    return [".Labort:", *(f"  {line}" for line in body), ".section .rodata", message]


def _object(name: str, size: int) -> list[str]:
    """A type_info and a type name carry the real name, a vtable traps, other data is zero."""
    match name[:4]:
        case "_ZTI":
            content = [f"  .quad {CLASS_TYPE_INFO}", f"  .quad .Ltype_{name}", *([f"  .zero {size - 16}"] if size > 16 else [])]
        case "_ZTS":
            content, size = [f'  .asciz "{name[4:]}"'], len(name) - 3
        case "_ZTV":
            content = ["  .quad 0, 0", *["  .quad .Lpure"] * (size // 8 - 2)]
        case _:
            content = [f"  .zero {size}"]
    return [".balign 32", f".globl {name}", f".type {name},@object", f"{name}:", *content, f".size {name}, {size}"]
