"""Images from Dockerfiles, by buildah. Its store lies in the cache and nothing of it is left on the machine."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from box import cache
from box.errors import Failed
from box.image import packages

PROGRAMS = {"buildah": "buildah"}
"""What build() needs on the machine, besides being root."""

# $1 our folder, then buildah's arguments. In a mount namespace of its own: /var/lib is ours, /run is empty, and what is written to /etc
# (buildah makes /etc/cni/net.d) goes to memory. /etc/resolv.conf may point into /run, and a build downloads.
PRIVATE = """
folder=$1; shift
resolver=$(cat /etc/resolv.conf)
mount --bind "$folder" /var/lib
mount -t tmpfs tmpfs /run
mkdir /run/changed /run/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/changed,workdir=/run/work /etc
rm -f /etc/resolv.conf
printf '%s\\n' "$resolver" > /etc/resolv.conf
exec buildah --storage-driver overlay "$@"
"""


def build(out: Path, name: str, dockerfile: Path, context: Path, base: Path) -> None:
    """Builds `dockerfile` and writes the image `name` as a Docker archive; `base` is the archive of the image that it starts FROM.

    RUN steps use the machine's network and take packages from where the machine's own pip takes them: its settings come as the secret
    `pip`, and a certificate authority of the company's as the secret `ca`.
    """
    _load(base)
    with tempfile.TemporaryDirectory(dir=cache.folder()) as folder:
        ignored = dockerfile.with_name(f"{dockerfile.name}.dockerignore")
        options = ["--isolation", "chroot", "--pull=never", "--layers", "--network", "host", "--ignorefile", str(ignored)]
        _buildah("build", *options, *_pip_settings(Path(folder)), "--file", str(dockerfile), "--tag", name, str(context))
    _buildah("push", "--quiet", name, f"docker-archive:{out}:{name}")


def _load(base: Path) -> None:
    """Brings an archive into buildah's store, once: it takes 4 s. The note lies in the store's folder and goes with it."""
    note, stat = _folder() / "loaded" / base.name, base.stat()
    archived = f"{base} {stat.st_size} {stat.st_mtime_ns}"
    if note.exists() and note.read_text() == archived:
        return
    _buildah("pull", "--quiet", f"docker-archive:{base}")
    note.parent.mkdir(exist_ok=True)
    note.write_text(archived)


def _folder() -> Path:
    folder = cache.folder() / "buildah"
    for part in ("store", "work"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    return folder


def _buildah(*args: str) -> None:
    folder = _folder()
    shell = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-eu", "-c", PRIVATE, "sh", str(folder / "store")]
    variables = {**os.environ, "TMPDIR": str(folder / "work")}
    ran = subprocess.run([*shell, *args], env=variables, capture_output=True, text=True, check=False)
    if ran.returncode:
        output = f"{ran.stdout.strip()}\n{ran.stderr.strip()}".strip()
        raise Failed(
            f"buildah {args[0]} failed: {output[-3000:]}",
            f"If a download failed, see that the machine reaches its package index; else remove {folder} and try again.",
        )


def _pip_settings(folder: Path) -> list[str]:
    """The options that hand pip's settings to the build."""
    asked = packages.settings()
    authority = asked.pop("cert", "") or os.environ.get("SSL_CERT_FILE", "")
    options = []
    if authority and Path(authority).is_file():
        options += ["--secret", f"id=ca,src={authority}"]
        asked["cert"] = "/run/secrets/ca"
    (folder / "pip.conf").write_text(pip_conf(asked))
    return [*options, "--secret", f"id=pip,src={folder / 'pip.conf'}"]


CARRIED = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries", "cert", "find-links")


def pip_conf(settings: dict[str, str]) -> str:
    """The settings that say where packages come from; folders of this machine stay behind, since the build does not see them."""
    lines = [f"{key} = {value}" for key, value in settings.items() if key in CARRIED and (key != "find-links" or "://" in value)]
    return "\n".join(["[global]", *lines, ""])
