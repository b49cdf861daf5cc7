"""From a fault to the first answer of the standby, on real nodes with a client at a steady rate, beside the least that could be done."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.publication import Figure, publish
from box import Box, addresses, busybox, containers, waiting
from cluster.models import Model, chat
from cluster.release import VALUES, Release
from cluster.space import Space, pod

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RATE = 20
TRIALS = 20
BARE = 7
ROLLOUTS = 10
HOLD = "2s"
TESTS = Path(__file__).parents[1]
HEALTH = {"drainTimeout": "1s", "hangTimeout": "10s", "failover": {"holdFor": HOLD}}


@dataclass
class Client:
    """What the steady client has told."""

    told: list[dict[str, Any]] = field(default_factory=list)

    def first(self, who: str, since: float) -> float | None:
        """Seconds from `since` until the first answer of theirs to a request that began after it."""
        answers = (each["began"] + each["took"] - since for each in self.told if each["began"] >= since and each["who"] == who)
        return min(answers, default=None)

    def again(self, since: float) -> int:
        """Requests that found their kept connection closed and were answered on another."""
        return sum(each["again"] and each["who"] != "lost" for each in self.told if each["began"] >= since)

    def lost(self, since: float) -> int:
        return sum(each["who"] == "lost" for each in self.told if each["began"] >= since)

    def last(self) -> str:
        return str(self.told[-1]["who"]) if self.told else ""


@dataclass(frozen=True)
class Fault:
    """What happens to the model at home."""

    name: str
    goal: float
    """Seconds to the first answer of the standby."""
    strikes: Callable[[], None]
    mend: Callable[[], None] = lambda: None
    """Ends it, where a new pod alone does not."""


@dataclass(frozen=True)
class Stage:
    """A model with its standby on another node, and a client beside the standby."""

    box: Box
    space: Space
    model: Model
    pid: int
    """Of the client's Pod: its network is the client's."""

    def engine(self) -> list[containers.Process]:
        name = self.model.pods()[0]["metadata"]["name"]
        return self.box.processes(f"{self.space.name}/{name}", "engine", match="llama-server")

    def address(self, service: str) -> str:
        return str(self.space.get("service", service)["spec"]["clusterIP"])

    @contextmanager
    def inside(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A module of ours in the client's network, ended afterwards: it would wait for ever for what did not happen."""
        command = ["nsenter", f"--net=/proc/{self.pid}/ns/net", sys.executable, "-m", *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(TESTS)}) as process:
            try:
                yield process
            finally:
                process.terminate()

    def suspend(self, *, yes: bool) -> None:
        self.space.kubectl("patch", "mdl/chat", "--type=merge", "-p", json.dumps({"spec": {"suspend": yes}}))


@contextmanager
def stage(name: str, primary: dict[str, Any], bring: Callable[[Box], object] = lambda _: None, seconds: int = 60) -> Iterator[Stage]:
    """The primary, chat, on node1; its standby, the operator and the client on node2, which stays. `bring` loads what the primary needs."""
    box = Box()
    mine = not box.running and box.up()
    try:
        with tempfile.TemporaryDirectory() as home:
            release = Release.install(box, Path(home))
            release.helm.upgrade(*VALUES, 'nodeSelector={"kubernetes.io/hostname":"node2"}', "--wait")
            box.load([busybox.image()])
            bring(box)
            space = Space.make(box, name)
            try:
                yield _played(box, space, primary, seconds)
            finally:
                space.delete()
    finally:
        if mine:
            box.down()


def _played(box: Box, space: Space, primary: dict[str, Any], seconds: int) -> Stage:
    aside: dict[str, Any] = {"scheduling": {"nodeSelector": {"kubernetes.io/hostname": "node2"}}}
    standby = Model.apply(space, chat("small", model={**chat()["spec"]["model"], "aliases": ["chat"]}, **aside))
    model = Model.apply(space, primary)
    for each in (standby, model):
        each.wait("Ready", "True", seconds=seconds)
    space.run(pod("client", nodeName="node2"))
    return Stage(box, space, model, box.processes(f"{space.name}/client", "main")[0].pid)


@contextmanager
def asking(on: Stage, *how: str) -> Iterator[Client]:
    client = Client()
    with on.inside("bench.steady", on.address("chat"), str(RATE), "small", *how) as process:

        def follow() -> None:
            for line in process.stdout or ():
                client.told.append(json.loads(line))

        threading.Thread(target=follow, daemon=True).start()
        yield client


def settle(on: Stage, client: Client, seconds: int = 120) -> None:
    """At home again, and a moment of quiet. After three returns within an hour only a person's word brings traffic back."""
    home = on.model.status()["activeRevision"]
    for each in on.model.pods():  # kubelet's pause before a restart grows with each: a new pod has none
        if any(status["restartCount"] for status in each["status"].get("containerStatuses", ())):
            on.space.kubectl("delete", "pod", each["metadata"]["name"], "--grace-period=0", "--force")
    on.space.kubectl("annotate", "mdl/chat", "allod.dev/return-traffic-")
    time.sleep(0.5)
    on.space.kubectl("annotate", "mdl/chat", f"allod.dev/return-traffic={home}")
    on.model.wait("FailedOver", "False", seconds=seconds)
    waiting.until("the home answers", lambda: client.last() == "home", seconds=60)
    time.sleep(1.5)


def trial(client: Client, fault: Callable[[], None]) -> tuple[float, int]:
    """Seconds to the first answer of the standby, and requests lost until then and after."""
    began = time.monotonic()
    fault()
    waiting.until("the standby answers", lambda: client.first("standby", began) is not None, seconds=90)
    time.sleep(4)  # what hangs runs into its time-out
    return client.first("standby", began) or 0.0, client.lost(began)


def bare(on: Stage, client: Client, fault: Callable[[], None]) -> float:
    """The same with the operator's hands off and the reactor in its place."""
    on.suspend(yes=True)
    try:
        on.model.wait("Progressing", "False", "Suspended")
        return _reacts(on, client, fault)
    finally:
        on.suspend(yes=False)


def _reacts(on: Stage, client: Client, fault: Callable[[], None]) -> float:
    selector = on.space.get("service", "small")["spec"]["selector"]
    path = f"/api/v1/namespaces/{on.space.name}/services/chat"
    home = on.model.pods()[0]["status"]["podIP"]
    with on.inside("bench.reactor", home, f"https://{addresses.API}", str(on.box.plane.pki), path, json.dumps(selector)) as reactor:
        assert reactor.stdout is not None
        reactor.stdout.readline()
        time.sleep(1)
        took, _ = trial(client, fault)
        reactor.wait(10)
    return took


def stuck(on: Stage, client: Client) -> float:
    """Seconds from the switch until a client that waits on a hung pod, without a time-out of its own, is freed."""
    home = on.model.pods()[0]["status"]["podIP"]
    freezes = on.engine()
    words = ("bench.waiter", home)
    containers.send(freezes, signal.SIGSTOP)
    began = time.monotonic()
    with on.inside(*words) as waiter:
        waiting.until("the standby answers", lambda: client.first("standby", began) is not None, seconds=90)
        switched = began + (client.first("standby", began) or 0.0)
        assert waiter.stdout is not None
        return float(waiter.stdout.readline()) - switched


def rollout(on: Stage, client: Client, kept: Client, number: int) -> tuple[int, int, int]:
    """While a healthy revision replaces a healthy one: requests lost on new connections, lost on kept ones, and those that reconnected."""
    began = time.monotonic()
    before = on.model.status()["activeRevision"]
    patch = {"spec": {"engine": {"maxModelLen": 1024 + number}}}
    on.space.kubectl("patch", "mdl/chat", "--type=merge", "-p", json.dumps(patch))
    waiting.until("traffic moved", lambda: on.model.status()["activeRevision"] != before, seconds=60)
    waiting.until("the old pods are gone", lambda: len(on.model.pods()) == 1, seconds=60)
    time.sleep(1)
    return client.lost(began), kept.lost(began), kept.again(began)


def figures() -> list[Figure]:
    """All of them, in one run."""
    here: dict[str, Any] = {"scheduling": {"nodeSelector": {"kubernetes.io/hostname": "node1"}}}
    primary = chat(standby={"modelDeploymentRef": {"name": "small"}}, health=HEALTH, **here)
    with stage("bench-failover", primary) as on, asking(on) as client:
        waiting.until("the client gets answers", lambda: client.last() == "home", seconds=30)
        found = [
            *told(on, client, Fault("process dead", 1.0, lambda: containers.send(on.engine(), signal.SIGKILL))),
            *told(on, client, Fault("server hung", 3.0, lambda: containers.send(on.engine(), signal.SIGSTOP))),
        ]
        freed = [_again(on, client, lambda: stuck(on, client)) for _ in range(TRIALS)]
        middle = f"median {statistics.median(freed):.2f} s"
        found.append(Figure(f"stuck clients freed after the switch, worst of {TRIALS}", round(max(freed), 2), "s", 5, middle))
        settle(on, client)
        with asking(on, "kept") as kept:
            waiting.until("the keeping client gets answers", lambda: kept.last() == "home", seconds=30)
            lost = [rollout(on, client, kept, number) for number in range(ROLLOUTS)]
        found.append(Figure(f"requests lost in {ROLLOUTS} healthy rollouts at {RATE}/s", sum(new for new, _, _ in lost), "requests", 0))
        beside = f"{sum(again for _, _, again in lost)} found their connection closed and were answered on another"
        found.append(Figure("the same on kept connections", sum(old for _, old, _ in lost), "requests", 0, beside))
    return found


def told(on: Stage, client: Client, fault: Fault) -> list[Figure]:
    """One kind of fault: by the least that could be done, and by us."""
    limits = [_again(on, client, lambda: bare(on, client, fault.strikes), fault.mend) for _ in range(BARE)]
    trials = [_again(on, client, lambda: trial(client, fault.strikes), fault.mend) for _ in range(TRIALS)]
    return _told(fault.name, fault.goal, [took for took, _ in trials], [lost for _, lost in trials], limits)


def _again(on: Stage, client: Client, once: Callable[[], Any], mend: Callable[[], None] = lambda: None) -> Any:
    settle(on, client)
    result = once()
    mend()
    print(result, file=sys.stderr, flush=True)
    return result


def _told(name: str, goal: float, times: list[float], lost: list[int], limits: list[float]) -> list[Figure]:
    middle, least = statistics.median(times), statistics.median(limits)
    beside = (
        f"worst {max(times):.2f} s; one bare connection and one PATCH: {least:.2f} s (worst {max(limits):.2f} s), so {middle / least:.1f} x"
    )
    return [
        Figure(f"{name} to the first answer of the standby, median of {len(times)}", round(middle, 2), "s", goal, beside),
        Figure(f"{name}: requests lost at {RATE}/s, median", statistics.median(lost), "requests", None, f"worst {max(lost)}"),
    ]


if __name__ == "__main__":
    print(publish("failover", figures()))
