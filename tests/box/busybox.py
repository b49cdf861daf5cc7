"""A 2 MB image with a shell, wget, nslookup and a web server, for Pods that look at the cluster from inside."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from box import archive, cache, tools
from box.progress import Progress

NAME = "allod.test/busybox:1"


def image() -> Path:
    """The image's .tar, from the cache or made now."""
    out = cache.images() / "busybox.tar"
    if not out.exists():
        program = tools.unpacked(Progress()) / "usr/bin/busybox"
        applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
        with tempfile.TemporaryDirectory(dir=cache.folder()) as folder:
            binaries = Path(folder) / "bin"
            binaries.mkdir()
            shutil.copy2(program, binaries / "busybox")
            for applet in applets:
                if applet != "busybox":
                    (binaries / applet).symlink_to("busybox")
            (Path(folder) / "tmp").mkdir(mode=0o777)
            archive.write(out, NAME, [Path(folder)], cmd=["/bin/sh"], env={"PATH": "/bin"})
    return out
