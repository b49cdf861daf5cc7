"""What comes as source: all of Kubernetes and etcd in one binary, helm, kwok and pause, built once for each state of kube/."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from box import archive, cache, lock, machine, prerequisites
from box.errors import Failed
from box.prerequisites import GO
from box.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KUBERNETES = "1.36.3"
PAUSE_IMAGE = "allod.test/pause:1"
SOURCES = Path(__file__).with_name("kube")
PACKAGES = (".", "./pause", "sigs.k8s.io/kwok/cmd/kwok", "helm.sh/helm/v4/cmd/helm")
LDFLAGS = f"-s -w -X k8s.io/component-base/version.gitVersion=v{KUBERNETES}"
CPU_SECONDS = 780
"""Of one core for a cold build: 9 min 19 s for Kubernetes, the rest for etcd, helm and kwok."""
STAGES = (
    "node/fast/node-initialize",
    "node/heartbeat-with-lease/node-heartbeat-with-lease",
    "pod/fast/pod-ready",
    "pod/fast/pod-complete",
    "pod/fast/pod-delete",
)
"""How kwok moves its nodes and pods. From 0.8 none is built in: without them it ends with "no stages found"."""


@dataclass(frozen=True)
class Built:
    """The folder with everything that was built."""

    folder: Path

    @property
    def kube(self) -> Path:
        """Every program of Kubernetes, etcd and the pretended GPUs: the first argument chooses."""
        return self.folder / "kube"

    @property
    def kubectl(self) -> Path:
        """A link to `kube`, which goes by the name it is called by."""
        return self.folder / "kubectl"

    @property
    def kwok(self) -> Path:
        """Pretends nodes and their pods."""
        return self.folder / "kwok"

    @property
    def kwok_stages(self) -> Path:
        """What kwok does with them, a YAML file."""
        return self.folder / "kwok-stages.yaml"

    @property
    def helm(self) -> Path:
        """The Helm client."""
        return self.folder / "helm"

    @property
    def pause(self) -> Path:
        """The first process of the box, of a node and of a pod."""
        return self.folder / "pause"

    @property
    def pause_image(self) -> Path:
        """The same as the image in which every pod begins."""
        return self.folder / "pause.tar"


def needs() -> dict[str, str]:
    """The programs that `built` needs of the machine: none when everything is in the cache."""
    return {} if _folder().exists() else GO


def built(progress: Progress | None = None) -> Built:
    """Everything, from the cache or built now."""
    folder = _folder()
    if not folder.exists():
        told = progress or Progress()
        with lock.in_turn(cache.folder() / "build.lock", told, "builds Kubernetes"):
            if not folder.exists():
                _build(folder, told)
    return Built(folder)


def _folder() -> Path:
    return cache.folder() / "bin" / _digest()


def _digest() -> str:
    """Of all that decides what comes out."""
    digest = hashlib.sha256(f"{LDFLAGS} {PACKAGES} {STAGES} {machine.architecture()}".encode())
    for path in sorted([*SOURCES.rglob("*.go"), SOURCES / "go.mod", SOURCES / "go.sum"]):
        digest.update(f"\n{path.relative_to(SOURCES)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _build(folder: Path, progress: Progress) -> None:
    prerequisites.check("Building Kubernetes from source", GO)
    cache.room_for(8, "building Kubernetes, with Go's own caches,")
    unfinished = folder.with_name(folder.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    with progress.step("fetching Go modules"):
        _go("mod", "download")
        packages = len(_go("list", "-deps", *PACKAGES).splitlines())
    cores = len(os.sched_getaffinity(0))
    with progress.step(f"building Kubernetes {KUBERNETES} from source", CPU_SECONDS / cores, cores=cores) as step:
        for number, _ in enumerate(_compiled(unfinished), start=1):
            step.share = number / packages
    (unfinished / "box").rename(unfinished / "kube")  # Go names it after the module
    (unfinished / "kubectl").symlink_to("kube")
    _write_stages(unfinished / "kwok-stages.yaml")
    archive.write(unfinished / "pause.tar", PAUSE_IMAGE, [unfinished / "pause"], entrypoint=["/pause"])
    unfinished.rename(folder)


def _compiled(out: Path) -> Iterator[str]:
    """The packages in the order in which they are compiled; a warm cache names few."""
    command = ["go", "build", "-v", "-trimpath", "-ldflags", LDFLAGS, "-o", f"{out}/", *PACKAGES]
    said: list[str] = []
    with subprocess.Popen(command, cwd=SOURCES, env=environment(os.environ), stderr=subprocess.PIPE, text=True) as build:
        for line in build.stderr or ():
            said.append(line)
            yield line.strip()
    if build.returncode:
        raise Failed(
            f"go build in {SOURCES} failed:\n{''.join(said[-20:])}",
            "Free some memory (3 GB) and disk if these are short, then run it again: it goes on where it stopped.",
        )


def _write_stages(out: Path) -> None:
    module = Path(_go("list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok").strip())
    out.write_text("\n---\n".join((module / "kustomize/stage" / f"{stage}.yaml").read_text() for stage in STAGES))


def _go(*args: str) -> str:
    ran = subprocess.run(["go", *args], cwd=SOURCES, env=environment(os.environ), capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Failed(
            f"go {' '.join(args[:2])} failed: {ran.stderr.strip()}", "Check that this machine reaches its Go module proxy: go env GOPROXY"
        )
    return ran.stdout


def environment(of: Mapping[str, str]) -> dict[str, str]:
    """For every run of go: without C, so that the programs run on any machine and in any image.

    Go's own caches (1.4 GB of modules and 4.3 GB of objects, both builds of ours together) lie in ours, unless the person has a place for
    them. Modules may be written to, which Go does not let them by itself: else `rm -rf` of the cache would need root.
    """
    caches = {"GOCACHE": str(cache.folder() / "go" / "build")}
    if not of.get("GOPATH"):  # it says where modules lie, too
        caches["GOMODCACHE"] = str(cache.folder() / "go" / "mod")
    chosen = {name: place for name, place in caches.items() if not of.get(name)}
    return {**of, **chosen, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -modcacherw", "GOWORK": "off"}
