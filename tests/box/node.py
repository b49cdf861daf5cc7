"""One real node: namespaces inside the box, with containerd, kubelet, kube-proxy, the pretended GPUs and the policy agent in them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from box import addresses, cgroups, gobuild, nodeconfig, processes, tools, waiting
from box.errors import Failed
from box.namespaces import Inside, Namespaces
from box.programs import check
from box.progress import Progress

SCRIPT = Path(__file__).with_name("init") / "node.sh"
CTR = ("--namespace", "k8s.io")
JOINING = ("kubelet", "kube-proxy", "gpu-plugin", "netpol")
"""What a node runs beside containerd."""


@dataclass(frozen=True)
class Node:
    """A node of the box in `state`; whether it runs is another matter."""

    state: Path
    number: int
    of: int
    """How many nodes there are."""
    gpus: int

    @property
    def name(self) -> str:
        """node1, node2, ..."""
        return f"node{self.number}"

    @property
    def address(self) -> str:
        """In the network of the box."""
        return addresses.node(self.number)

    @property
    def folder(self) -> Path:
        """Its files. `lib` is its /var/lib."""
        return self.state / self.name

    @property
    def running(self) -> bool:
        """False after a crash."""
        return bool(self._pids())

    @property
    def space(self) -> Namespaces:
        """To run something in it; `Failed` when it is down."""
        if pids := self._pids():
            return Namespaces(pids[-1])
        raise Failed(f"{self.name} is down.", f"python3 tests/box node start {self.name}")

    @property
    def programs(self) -> Inside:
        """Its daemons: containerd, kubelet, kube-proxy, gpu-plugin, netpol."""
        sid = tools.unpacked(Progress())
        return Inside(self.space, self.state / "log" / self.name, path=[sid / "usr/bin"])

    def boot(self, box: Namespaces) -> None:
        """Namespaces, network, containerd and the image that every Pod begins with: all that needs no API server."""
        sid, cgroup = tools.unpacked(Progress()), cgroups.name(self.state)
        cgroups.make(cgroup, self.name)
        nodeconfig.write(self.folder, name=self.name, number=self.number, cgroup=cgroup, pki=self.state / "pki", sid=sid)
        self._unshare(box)
        self.start("containerd")
        self.load(gobuild.built().pause_image)

    def join(self) -> None:
        """The programs that make it a node of the cluster. The API server is there."""
        for program in JOINING:
            self.start(program)

    def start(self, program: str) -> None:
        """Starts one of its programs (again); its data are as they were when it ended."""
        programs = self.programs
        programs.start(program, self._command(program))
        if program == "containerd":

            def answers() -> bool:
                check(programs, program)
                return self._ctr("version").returncode == 0

            waiting.until(f"containerd of {self.name} answers", answers, seconds=60)

    def end(self, program: str) -> None:
        """Ends one of them, as its crash would. Pods go on without containerd and without kubelet."""
        self.programs.end(program)

    def _command(self, program: str) -> list[str | Path]:
        kube, pki = gobuild.built().kube, self.state / "pki"
        kubelet = (f"--config={self.folder}/kubelet.json", f"--kubeconfig={pki}/{self.name}.conf", f"--node-ip={self.address}")
        commands: dict[str, list[str | Path]] = {
            "containerd": ["containerd", f"--config={self.folder}/containerd.toml"],
            "kubelet": [kube, "kubelet", *kubelet, f"--hostname-override={self.name}"],
            "kube-proxy": [kube, "kube-proxy", f"--config={self.folder}/kube-proxy.json"],
            "gpu-plugin": [kube, "gpu-plugin", f"--devices={self.gpus}"],
            "netpol": [sys.executable, "-m", "box.agent", "netpol", f"https://{addresses.API}", pki, self.name],
        }
        return commands[program]

    def crash(self) -> None:
        """As if its power was cut: its processes and its link are gone at once, its disk stays."""
        processes.kill(self._pids())

    def link(self, box: Namespaces, *, up: bool) -> None:
        """Cuts or mends its network. Its containers go on."""
        box.run("ip", "link", "set", f"v{self.number}", "up" if up else "down")
        if up:  # the kernel dropped the route with the link
            box.run("ip", "route", "replace", addresses.pods(self.number), "via", self.address)

    def load(self, image: Path) -> None:
        """Imports a container image from a .tar."""
        ran = self._ctr("images", "import", "--local", str(image))
        if ran.returncode:
            raise Failed(
                f"{self.name} could not import {image}: {ran.stderr.strip()}",
                "It must be a Docker or OCI archive, and the disk must have room.",
            )

    def tag(self, image: str, name: str) -> None:
        """Another name for an image that it has."""
        self._images("tag", "--force", image, name)

    def forget(self, image: str) -> None:
        """Takes a name from it, as a kubelet does that needs room on its disk. Containers that run go on."""
        self._images("rm", "--sync", image)

    def _images(self, *args: str) -> None:
        ran = self._ctr("images", *args)
        if ran.returncode:
            raise Failed(f"{self.name}: ctr images {' '.join(args)} failed: {ran.stderr.strip()}", "Does it have this image?")

    def _ctr(self, *args: str) -> subprocess.CompletedProcess[str]:
        ctr = tools.unpacked(Progress()) / "usr/bin/ctr"
        return subprocess.run(self.space.command(ctr, *CTR, *args), capture_output=True, text=True, check=False)

    def _pids(self) -> list[int]:
        return processes.find(self.name, str(self.state))

    def _unshare(self, box: Namespaces) -> None:
        others = (n for n in range(1, self.of + 1) if n != self.number)
        routes = [f"{addresses.pods(n)}={addresses.node(n)}" for n in others]
        who = [str(gobuild.built().pause), str(self.state), self.name, str(self.number), self.address, addresses.BOX]
        programs = Inside(box, self.state / "log" / self.name)
        programs.start("init", ["unshare", "--net", "sh", SCRIPT, "join", *who, *routes])

        def became() -> bool:
            check(programs, "init")
            return self.running

        waiting.until(f"the namespaces of {self.name} are made", became, seconds=60)
