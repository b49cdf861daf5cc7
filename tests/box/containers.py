"""The processes of a Pod's containers, to play faults with signals: a crash (KILL), a hang (STOP), a recovery (CONT)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from box import cgroups, processes
from box.errors import BoxError, NotThere

if TYPE_CHECKING:
    import signal

    from box.api import Api, Object


@dataclass(frozen=True)
class Process:
    """A process of a container, as the machine sees it."""

    pid: int
    command: str


def container_processes(api: Api, state: Path, pod: str, container: str | None = None, match: str = "") -> list[Process]:
    """Those of NAMESPACE/POD whose command line contains `match`, first started first. Without a container: the Pod's first one."""
    namespace, _, name = pod.partition("/")
    if not name:
        raise BoxError(f"{pod} is no Pod.", "Write NAMESPACE/POD, such as default/chat-5b21aa0c-0.")
    identity = _identity(api.get(f"/api/v1/namespaces/{namespace}/pods/{name}"), container)
    found = [Process(pid, _command(pid)) for pid in cgroups.processes(cgroups.name(state), identity)]
    chosen = [process for process in found if match in process.command]
    if not chosen:
        there = "; ".join(process.command for process in found) or "none: it is not running"
        raise NotThere(f"No process of {pod} has {match!r} in its command line.", f"Its processes: {there}.")
    return chosen


def send(found: list[Process], how: signal.Signals) -> None:
    """A signal to each of them."""
    for process in found:
        processes.send(process.pid, how)


def _identity(pod: Object, container: str | None) -> str:
    status = pod["status"]
    ids = {
        one["name"]: one.get("containerID", "") for one in [*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ())]
    }
    name = container or pod["spec"]["containers"][0]["name"]
    if not ids.get(name):
        started = ", ".join(key for key, value in ids.items() if value) or "none yet"
        raise NotThere(f"Container {name} of {pod['metadata']['name']} has not been started.", f"Containers that have: {started}.")
    return str(ids[name]).rpartition("//")[2]


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return " ".join(os.fsdecode(word) for word in words if word)
