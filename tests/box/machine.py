"""What this machine is: its Debian mirror, architecture, cgroups, and a sentence to put beside a measurement."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

from box.errors import NotAllowed, NotThere

if TYPE_CHECKING:
    from collections.abc import Iterator

DEBIAN_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    """`amd64` or `arm64`: Debian, Go and container images agree on these names."""
    name = platform.machine()
    if name not in DEBIAN_ARCHITECTURES:
        raise NotThere(f"The box does not know the machine type {name}.", "Use an x86_64 or an aarch64 machine.")
    return DEBIAN_ARCHITECTURES[name]


def release() -> dict[str, str]:
    """/etc/os-release as a dictionary."""
    pairs = (line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return {key: value.strip('"') for key, value in pairs}


def debian_mirror() -> str:
    """The URL from which the machine's own apt takes its suite, such as `http://mirror.example.com/debian`."""
    codename = release().get("VERSION_CODENAME", "")
    for uri, suites, components in _sources():
        if codename in suites and "main" in components:
            return uri.rstrip("/")
    raise NotThere(
        f"No apt source of this machine offers Debian's suite {codename or '(unknown)'} with component main.",
        "The box takes its parts from a Debian mirror: run it on Debian, or add the mirror to /etc/apt/sources.list.d.",
    )


def _sources() -> Iterator[tuple[str, list[str], list[str]]]:
    """(URI, suites, components) of each enabled binary source, in both formats of apt."""
    lists = Path("/etc/apt")
    for path in sorted((lists / "sources.list.d").glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            fields = dict(re.findall(r"^([A-Za-z-]+):\s*(.*)$", stanza, re.MULTILINE))
            if "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes").lower() != "no":
                for uri in fields.get("URIs", "").split():
                    yield uri, fields.get("Suites", "").split(), fields.get("Components", "").split()
    for path in [lists / "sources.list", *sorted((lists / "sources.list.d").glob("*.list"))]:
        for line in path.read_text().splitlines() if path.exists() else ():
            if found := re.match(r"deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)", line):
                yield found[1], [found[2]], found[3].split()


def require_root(purpose: str) -> None:
    """Refuses when the effective user is not root."""
    if os.geteuid() != 0:
        raise NotAllowed(
            f"{purpose} needs root, and this is user {os.geteuid()}.",
            'Run it as root, or put this before the command: sudo -E env "PATH=$PATH" (sudo alone forgets where Go is).',
        )


def cgroup_trees() -> list[Path]:
    """The root of each cgroup hierarchy: one with version 2, one for each controller with version 1."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    trees = [Path(target) for _, target, kind, *_ in mounts if kind in {"cgroup", "cgroup2"}]
    if not trees:
        raise NotThere(
            "No cgroup hierarchy is mounted below /sys/fs/cgroup.",
            "The nodes of the box need cgroups: mount them, or use the control plane alone.",
        )
    return trees


def description() -> dict[str, str | int | float]:
    """What a reader must know to compare a figure with his own."""
    cpu = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memoryGiB": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "system": release().get("PRETTY_NAME", platform.system()),
        "cgroups": "v1" if len(cgroup_trees()) > 1 else "v2",
        "load1m": os.getloadavg()[0],
    }
