"""Whether this kernel can carry a box: tried for real in namespaces that vanish with the trial."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from box.errors import NotThere

if TYPE_CHECKING:
    from collections.abc import Mapping

NAT = "add table ip t; add chain ip t c { type nat hook postrouting priority 100; }; add rule ip t c masquerade"
TRACKING = "add table ip t; add chain ip t c { type filter hook forward priority 0; }; add rule ip t c ct state new accept"
OVERLAY = "mount -t tmpfs tmpfs /run; cd /run; mkdir a b c d; mount -t overlay -o lowerdir=a,upperdir=b,workdir=c overlay d"
TRIALS = {
    "bridges (CONFIG_BRIDGE)": "ip link add trial0 type bridge",
    "veth pairs (CONFIG_VETH)": "ip link add trial1 type veth peer name trial2",
    "nftables with address translation (CONFIG_NF_TABLES, CONFIG_NFT_NAT)": f"nft '{NAT}'",
    "nftables with connection tracking (CONFIG_NFT_CT)": f"nft '{TRACKING}'",
    "overlay file systems (CONFIG_OVERLAY_FS)": OVERLAY,
}
"""Feature: command that works only where the feature is."""
NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child=KILL")


def check(trials: Mapping[str, str] = TRIALS) -> None:
    """Refuses with the name of what is missing."""
    if _run("true"):
        raise NotThere(
            "This user may not make namespaces, even as root.",
            "In a container, run it privileged; on a hardened kernel, allow them (kernel.* sysctls).",
        )
    if not _run(" && ".join(f"({command})" for command in trials.values())):
        return
    for feature, command in trials.items():
        if said := _run(command):
            raise NotThere(f"This kernel lacks {feature}: {said}", "Use a kernel with it (Debian's has all), or the control plane alone.")


def _run(command: str) -> str:
    """What the failing command said; empty when it worked."""
    ran = subprocess.run([*NAMESPACES, "sh", "-c", command], capture_output=True, text=True, check=False)
    return (ran.stderr.strip() or f"exit status {ran.returncode}") if ran.returncode else ""
