"""What a person can ask of the box. Results go to standard output, progress and errors to standard error."""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from box import bench, cache, containers, controlplane, gobuild, machine, prerequisites, prometheus, registry, scratch, status
from box.box import Box, prepare
from box.errors import BoxError, NotThere
from box.progress import Progress

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "continue": signal.SIGCONT}
Command = Callable[[Box, argparse.Namespace], int | None]
Add = Callable[[str, Command, str], argparse.ArgumentParser]
"""Adds a command by its name, what it does and what it is for."""


def run(words: Sequence[str]) -> int:
    """The exit status: 0, 1 with what is wrong and what to do on standard error, 2 for a wrong command line."""
    try:
        asked = parser().parse_args(_for_kubectl(words))
        command: Command = asked.command
        return command(Box(asked.state), asked) or 0
    except (BoxError, OSError, KeyboardInterrupt) as error:
        return explain(error)


def explain(error: BaseException) -> int:
    """Says what is wrong and what to do; the exit status is 1."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        error = BoxError(f"The disk of {cache.folder()} is full.", "Free some space, or set XDG_CACHE_HOME to a folder on a larger disk.")
    if isinstance(error, PermissionError) and error.filename:
        wrong = f"User {os.geteuid()} may not use {error.filename}."
        error = BoxError(wrong, "Be the user who made it, root perhaps, or set XDG_CACHE_HOME to a folder of your own.")
    if isinstance(error, BoxError):
        said = f"{error.wrong}\n{error.todo}"
    elif isinstance(error, KeyboardInterrupt):
        said = "Stopped; what had been started is ended again."
    elif isinstance(error, OSError):
        said = f"{error}\nIf the cluster should be up: python3 tests/box status, and its logs: python3 tests/box logs"
    else:
        raise error
    print(f"\n{said}", file=sys.stderr)
    return 1


def _for_kubectl(words: Sequence[str]) -> list[str]:
    """Everything behind `kubectl` is kubectl's own, `-n NAMESPACE` too, which argparse would take for an option of ours."""
    at = words.index("kubectl") + 1 if "kubectl" in words else 0
    return [*words[:at], "--", *words[at:]] if at else [*words]


def parser() -> argparse.ArgumentParser:
    """All commands and their arguments."""
    whole = argparse.ArgumentParser(prog="python3 tests/box", description="A real Kubernetes cluster on this machine.")
    whole.add_argument("--state", type=Path, default=cache.state(), metavar="FOLDER", help="the box's own files (%(default)s)")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(command=command)
        return made

    _add_life(add)
    _add_use(add)
    _add_faults(add)
    return whole


def _add_life(add: Add) -> None:
    new = add("up", up, "bring the cluster up, until its nodes are Ready")
    new.add_argument("--nodes", type=int, default=2, help="real nodes (%(default)s)")
    new.add_argument("--gpus", type=int, default=4, help="pretended nvidia.com/gpu on each (%(default)s)")
    add("down", down, "end the cluster; nothing is left of it but its logs, and nothing of commands that were killed")
    add("status", show, "what is up, where its doors are, what it costs")
    add("logs", logs, "list the logs, or print one").add_argument("name", nargs="?", metavar="PLACE/PROGRAM")
    add("bench", figures, "measure: seconds to two nodes, control plane alone, memory")
    fetched = add("prepare", ready, "fetch and build everything that the cluster needs")
    fetched.add_argument(
        "--only",
        choices=["kube", "prometheus"],
        help="kube: what the control plane alone needs; prometheus: what checks alerts; both without root",
    )


def _add_use(add: Add) -> None:
    add("kubeconfig", kubeconfig, "print the path of the kubeconfig: export KUBECONFIG=$(python3 tests/box kubeconfig)")
    add("kubectl", kubectl, "run kubectl on the cluster").add_argument("words", nargs=argparse.REMAINDER, metavar="ARGS")
    add("load", load, "import container images into every node").add_argument("images", nargs="+", type=Path, metavar="IMAGE.tar")
    pushed = add("push", push, "put an image into the cluster's own registry, to have it pulled")
    pushed.add_argument("image", type=Path, metavar="IMAGE.tar")
    pushed.add_argument("name", help="such as demo/hello:1")
    opened = add("door", door, "reach a Service or a Pod at 127.0.0.1")
    opened.add_argument("doors", nargs="*", metavar="PORT=SERVICE.NAMESPACE:PORT", help="PORT 0: any free one; none: list the doors")
    opened.add_argument("--close", action="store_true", help="close these doors")
    inside = add("enter", enter, "run a command inside a node, or beside the control plane (box)")
    inside.add_argument("place")
    inside.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")


def _add_faults(add: Add) -> None:
    power = add("node", node, "cut a node's power, or start it again")
    power.add_argument("what", choices=["crash", "start"])
    power.add_argument("name")
    cable = add("link", link, "cut a node's network, or mend it")
    cable.add_argument("what", choices=["down", "up"])
    cable.add_argument("name")
    for name, text in (("kill", "crash"), ("stop", "hang"), ("continue", "end the hang of")):
        fault = add(name, processes, f"{text} the processes of a container")
        fault.set_defaults(signal=SIGNALS[name])
        fault.add_argument("pod", metavar="NAMESPACE/POD")
        fault.add_argument("container", nargs="?", help="without it: the first of the Pod")
        fault.add_argument("--match", default="", metavar="TEXT", help="only processes with this text in their command line")


def up(box: Box, asked: argparse.Namespace) -> None:
    fresh = box.up(nodes=asked.nodes, gpus=asked.gpus)
    print("The cluster is up." if fresh else "The cluster was up already.")
    print(f"  export KUBECONFIG={box.kubeconfig}\n  python3 tests/box kubectl get nodes\n  python3 tests/box down")


def down(box: Box, _asked: argparse.Namespace) -> None:
    print("The cluster is gone." if box.down() else "There was no cluster.")
    for folder in scratch.remove_left():
        print(f"Removed {folder}, which a command that was killed had left.")


def show(box: Box, _asked: argparse.Namespace) -> int:
    print(status.text(box))
    return 0 if box.running else 1


def _require_up(box: Box) -> None:
    """Refuses where a command would otherwise build the tools of a cluster that is not there, or do nothing without a word."""
    if not box.running:
        raise NotThere(f"There is no cluster in {box.state}.", "Bring one up: make cluster")


def kubeconfig(box: Box, _asked: argparse.Namespace) -> None:
    _require_up(box)
    print(box.plane.kubeconfig)


def kubectl(box: Box, asked: argparse.Namespace) -> None:
    _require_up(box)
    program = gobuild.built().kubectl
    os.execv(program, [str(program), f"--kubeconfig={box.plane.kubeconfig}", f"--cache-dir={box.state / 'kubectl'}", *asked.words[1:]])


def load(box: Box, asked: argparse.Namespace) -> None:
    _require_up(box)
    for image in asked.images:
        with box.progress.step(f"importing {image.name}"):
            box.load([image])


def push(box: Box, asked: argparse.Namespace) -> None:
    print(registry.push(box, asked.image, asked.name))


def door(box: Box, asked: argparse.Namespace) -> None:
    for words in asked.doors:
        port, _, target = words.rpartition("=")
        if asked.close:
            for opened in box.doors():
                if str(opened.port) == (port or target):
                    opened.close()
        else:
            print(f"http://127.0.0.1:{box.open(target, int(port or 0)).port}")
    if not asked.doors:
        for opened in box.doors():
            print(f"127.0.0.1:{opened.port} -> {opened.target}")


def node(box: Box, asked: argparse.Namespace) -> None:
    if asked.what == "crash":
        box.crash(asked.name)
        print(f"{asked.name} has crashed; it is NotReady in about 23 s.")
    else:
        with box.progress.step(f"{asked.name} Ready"):
            box.start(asked.name)


def link(box: Box, asked: argparse.Namespace) -> None:
    box.link(asked.name, up=asked.what == "up")


def processes(box: Box, asked: argparse.Namespace) -> None:
    found = box.processes(asked.pod, asked.container, match=asked.match)
    containers.send(found, asked.signal)
    for process in found:
        print(f"{asked.signal.name} {process.pid} {process.command}")


def enter(box: Box, asked: argparse.Namespace) -> None:
    space = box.space if asked.place == "box" else box.node(asked.place).space
    command = space.command(*(asked.words or ["/bin/bash"]))
    os.execvp(command[0], command)


def logs(box: Box, asked: argparse.Namespace) -> None:
    found = {path.relative_to(box.log).with_suffix("").as_posix(): path for path in sorted(box.log.rglob("*.log"))}
    if not asked.name:
        print("\n".join(f"{path.stat().st_size:>9}  {name}" for name, path in found.items()) or f"There are no logs in {box.log}.")
        return
    chosen = [path for name, path in found.items() if asked.name in {name, path.stem}]
    if not chosen:
        raise BoxError(f"There is no log {asked.name}.", f"There are {', '.join(found) or 'none'}.")
    for path in chosen:
        sys.stdout.write(path.read_text(errors="replace"))


def ready(box: Box, asked: argparse.Namespace) -> None:
    if asked.only == "kube":
        prerequisites.check("The control plane", {**controlplane.PROGRAMS, **gobuild.needs()})
        gobuild.built(box.progress)
    elif asked.only == "prometheus":
        prometheus.unpacked(box.progress)
    else:
        prepare(box.progress)
    print(f"Everything is in {cache.folder()}.")


def figures(_box: Box, _asked: argparse.Namespace) -> None:
    machine.require_root("Measuring a cluster with nodes")
    print(json.dumps(bench.measure(Progress()), indent=2))
