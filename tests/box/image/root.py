"""An image's root file system as a folder, and programs run in it as a restricted pod would run them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from box import machine
from box.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

NOBODY = 65534
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# $1 root, $2 user, $3 number of binds, then OPTIONS SOURCE TARGET of each, then the command. The mounts are in a namespace of this process
# alone and vanish with it. The overlay exists to make folders for the binds: its upper folder lies on a tmpfs over the root's own /tmp,
# which the overlay itself does not see.
RESTRICTED = """
root=$1 user=$2 binds=$3; shift 3
mount -t tmpfs tmpfs "$root/tmp"
mkdir "$root/tmp/upper" "$root/tmp/work" "$root/tmp/root"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$root/tmp/upper,workdir=$root/tmp/work" "$root/tmp/root"
root=$root/tmp/root
mkdir -p "$root/proc" "$root/sys" "$root/dev"
while [ "$binds" -gt 0 ]; do
  if [ -d "$2" ]; then mkdir -p "$root$3"; else mkdir -p "$(dirname "$root$3")"; touch "$root$3"; fi
  mount --bind -o "$1" "$2" "$root$3"; shift 3; binds=$((binds - 1))
done
mount --rbind /proc "$root/proc"; mount --rbind /sys "$root/sys"; mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"; mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -o remount,ro "$root"
exec chroot --userspec="$user:$user" "$root" "$@"
"""

WRITABLE = """
mount --rbind /proc "$1/proc"; mount --rbind /dev "$1/dev"
exec chroot "$@"
"""


def command(
    root: Path,
    argv: Sequence[str],
    *,
    binds: Mapping[Path, str] | None = None,
    writable: Mapping[Path, str] | None = None,
    user: int = NOBODY,
) -> list[str]:
    """A command line that becomes `argv` inside `root`: same process, same signals, same network, user 65534. The root is read-only,
    /tmp and /dev/shm are its own and empty.

    `binds` and `writable` are files and folders of the machine, at the paths that they get inside. There is no pid namespace: the machine
    sees all its processes.
    """
    machine.require_root("Running a program in an image's root")
    mounts = [("ro", *bind) for bind in (binds or {}).items()] + [("rw", *bind) for bind in (writable or {}).items()]
    words = [word for option, source, target in mounts for word in (option, str(source.resolve()), target)]
    shell = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-eu", "-c", RESTRICTED, "sh"]
    return [*shell, str(root), str(user), str(len(mounts)), *words, *argv]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a container's process has: nothing of the machine's own variables."""
    return {"PATH": PATH, "HOME": "/tmp", **(extra or {})}


def change(root: Path, *argv: str) -> None:
    """Runs a program as root that changes the root file system; used while it is made."""
    for folder in ("proc", "dev"):
        (root / folder).mkdir(exist_ok=True)
    shell = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-eu", "-c", WRITABLE, "sh", str(root)]
    ran = subprocess.run([*shell, *argv], env={"PATH": PATH, "HOME": "/"}, capture_output=True, text=True, check=False)
    if ran.returncode:
        output = f"{ran.stdout.strip()}\n{ran.stderr.strip()}".strip()
        raise Failed(f"{argv[0]} failed in {root}: {output[-2000:]}", "This is a fault of the recipe: please report it with this text.")
