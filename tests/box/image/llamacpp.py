"""llama.cpp's server from Debian sid, alone: the program, its libraries, the dynamic linker and a variant for each kind of CPU. 34 MB."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from box import archive
from box.errors import Failed
from box.image import debian
from box.image.product import HERE, Product, remove

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SUITE = "sid"  # no other suite but forky has the package, in the same version
PACKAGES = ("llama.cpp-tools",)
SERVER = "usr/bin/llama-server"
LINKER = "usr/lib64/ld-linux-x86-64.so.2"
BACKENDS = "usr/lib/x86_64-linux-gnu/ggml/backends0"
CPUS = ("x64", "haswell", "skylakex", "zen4")
"""Of the variants of ggml's CPU backend: any x86-64, AVX2, AVX-512, AVX-512 with bfloat16. ggml loads the best that runs."""
PASSWD = "nobody:x:65534:65534:nobody:/tmp:/usr/sbin/nologin\n"


def image(out: Path) -> None:
    """The container image."""
    archive.write(out, IMAGE_NAME, [ROOT.path], entrypoint=[f"/{SERVER}"], env={"HOME": "/tmp"}, user="65534:65534")


def root_folder(out: Path) -> None:
    """The root file system."""
    full = out.with_name("llama-full.part")
    remove(full)
    try:
        debian.root(full, SUITE, PACKAGES, variant="extract", without=("/usr/share/*",))
        backends = [f"{BACKENDS}/libggml-cpu-{cpu}.so" for cpu in CPUS]
        _copy(full, out, [SERVER, LINKER, *backends, *_libraries(full, [SERVER, *backends])])
    finally:
        remove(full)
    for link, target in (("lib", "usr/lib"), ("lib64", "usr/lib64")):
        (out / link).symlink_to(target)
    for folder in ("etc", "tmp", "proc", "sys", "dev"):
        (out / folder).mkdir()
    (out / "tmp").chmod(0o1777)
    (out / "etc/passwd").write_text(PASSWD)


def _libraries(full: Path, programs: Iterable[str]) -> set[str]:
    """The libraries that the dynamic linker loads for these programs, as paths without the leading slash."""
    found: set[str] = set()
    for program in programs:
        command = ["chroot", str(full), f"/{LINKER}", "--list", f"/{program}"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode or "not found" in ran.stdout:
            raise Failed(
                f"{program} of Debian {SUITE} does not find its libraries: {ran.stdout}{ran.stderr}",
                "The suite is between two states of a transition: try again in some hours.",
            )
        found |= set(re.findall(r"=> /(\S+)", ran.stdout))
    return found


def _copy(source: Path, target: Path, names: Iterable[str]) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, target / name)  # follows symbolic links: libfoo.so.1 becomes the library itself


IMAGE_NAME = "allod.test/llama.cpp:dev"
_RECIPE = (f"{HERE}/llamacpp.py", f"{HERE}/debian.py")
ROOT = Product(
    "llama.cpp-root", "roots/llama.cpp", "llama-server as a folder", root_folder, _RECIPE, programs=debian.PROGRAMS, root=True, seconds=15
)
IMAGE = Product(
    "llama.cpp",
    "images/llama.cpp.tar",
    "llama-server for CPUs",
    image,
    (f"{HERE}/llamacpp.py", "tests/box/archive.py"),
    needs=(ROOT,),
    image=IMAGE_NAME,
)
