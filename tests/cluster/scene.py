"""A real vLLM that misbehaves when it is told to, its standby, and a client that talks to it all the time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from box import Box, containers, waiting
from cluster.models import Model, chat, client, smol
from support.talker import ANSWERED, Told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from cluster.space import Space

TESTS = Path(__file__).parents[1]
MODULE = TESTS / "support/faults.py"
FILE = "/tmp/fault"  # noqa: S108  # a volume of the pod's own, gone with it
BASE = "/faults"
SITE = f"{BASE}/lib/python3.13/site-packages"
"""Python's own name for it: there it looks for `usercustomize`, which it imports when it starts."""
RATE = 4
"""Requests a second: a third of a core."""


@dataclass
class Talk:
    """What the client has told so far."""

    told: list[Told] = field(default_factory=list)

    def since(self, moment: float) -> list[Told]:
        """Requests that began after it and have ended, in the order of their beginning."""
        return sorted((each for each in [*self.told] if each.began >= moment), key=lambda each: each.began)

    def lost(self, moment: float, until: float = float("inf")) -> list[Told]:
        """Those of them that got no answer."""
        return [each for each in self.since(moment) if each.began < until and each.what != ANSWERED]

    def first(self, who: str, moment: float) -> Told | None:
        """Whom they answered first."""
        found = (each for each in self.since(moment) if each.who == who)
        return min(found, key=lambda each: each.ended, default=None)

    def wait(self, who: str, moment: float, seconds: float) -> Told:
        """The first answer of theirs to a request after that moment."""
        waiting.until(f"the {who} answers", lambda: self.first(who, moment) is not None, seconds=seconds)
        found = self.first(who, moment)
        assert found
        return found


@contextmanager
def talking(space: Space, service: str, namespace: str, model: str, rate: int = RATE) -> Iterator[Talk]:
    """A client in `space` talks to a Service, and has had its first answer."""
    spec = json.loads(space.box.kubectl("-n", namespace, "get", "service", service, "-o", "json"))["spec"]
    pid = space.box.processes(f"{space.name}/{client(space)}", "main")[0].pid
    network, address = f"--net=/proc/{pid}/ns/net", (spec["clusterIP"], str(spec["ports"][0]["port"]))
    command = ["nsenter", network, sys.executable, "-m", "support.talker", *address, model, str(rate)]
    talk = Talk()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(TESTS)}) as process:

        def follow() -> None:
            talk.told.extend(Told(**json.loads(line)) for line in process.stdout or ())

        threading.Thread(target=follow, daemon=True).start()
        try:
            waiting.until("the client gets answers", lambda: any(each.what == ANSWERED for each in [*talk.told]), seconds=30)
            talk.told.clear()
            yield talk
        finally:
            process.terminate()


@dataclass(frozen=True)
class Scene:
    """The model `smol` in a namespace of its own; `small` can stand by."""

    box: Box
    space: Space
    node: str
    model: Model

    @classmethod
    def set(cls, box: Box, space: Space, node: str, **spec: Any) -> Scene:
        """The model is applied, and the client is there."""
        module = {"usercustomize.py": MODULE.read_text()}
        space.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "faults"}, "data": module})
        client(space)
        scene = cls(box, space, node, Model(space, "smol"))
        scene.apply(**spec)
        return scene

    def apply(self, *, fault: str = "", length: int = 1024, **spec: Any) -> None:
        """With another `fault` of its own, or another length, it is another revision."""
        manifest = smol(self.node, **spec)
        engine = manifest["spec"]["engine"]
        engine["maxModelLen"] = length
        more = {"PYTHONUSERBASE": BASE, "FAULT_FILE": FILE, "FAULT": fault}
        engine["env"] += [{"name": name, "value": value} for name, value in more.items() if value]
        mount = {"name": "engine", "volumeMounts": [{"name": "faults", "mountPath": SITE}]}
        volume = {"name": "faults", "configMap": {"name": "faults"}}
        manifest["spec"]["podTemplate"] = {"spec": {"containers": [mount], "volumes": [volume]}}
        manifest["spec"]["resources"]["memory"] = "6Gi"  # there are to be two of them
        self.space.apply(manifest)

    def stand_by(self) -> dict[str, Any]:
        """Somebody who would answer. Returns how the model names it."""
        Model.apply(self.space, chat("small", model={**chat()["spec"]["model"], "aliases": ["smol"]}))
        return {"modelDeploymentRef": {"name": "small"}}

    def pod(self, revision: str | None = None) -> dict[str, Any]:
        """The one pod of a revision, by itself of the active one."""
        wanted = revision or self.model.status()["activeRevision"]
        (found,) = [each for each in self.model.pods() if each["metadata"]["labels"]["allod.dev/revision"] == wanted]
        return found

    def fault(self, what: str, revision: str | None = None) -> float:
        """From now on, for the life of the pod. Returns the moment just before it, of the machine's monotonic clock."""
        name = self.pod(revision)["metadata"]["name"]
        began = time.monotonic()  # an exec may return a second after what it did
        self.space.kubectl("exec", name, "-c", "engine", "--", "sh", "-c", f"echo '{what}' > {FILE}")
        return began

    @contextmanager
    def slow(self) -> Iterator[None]:
        """The worker rests for two thirds of the time, as one does whose GPU is shared or throttled."""
        workers = self.box.processes(f"{self.space.name}/{self.pod()['metadata']['name']}", "engine", match="VLLM::Worker")
        over = threading.Event()

        def rest() -> None:
            while not over.is_set():
                containers.send(workers, signal.SIGSTOP)
                time.sleep(1.2)
                containers.send(workers, signal.SIGCONT)
                over.wait(0.6)

        resting = threading.Thread(target=rest)
        resting.start()
        try:
            yield
        finally:
            over.set()
            resting.join()

    def talking(self, service: str = "smol", namespace: str | None = None) -> AbstractContextManager[Talk]:
        """A client talks to it."""
        return talking(self.space, service, namespace or self.space.name, self.model.name)
