from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest

from allod.domain.manifest import Ref, ref
from allod.runtime.heartbeats import Heartbeats
from allod.runtime.metrics import Metrics
from unit.adapters.peer import BEAT, HEAD, Peer, answers, free_port, line, page, well

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from allod.domain.manifest import Manifest
    from allod.domain.serving.health.beat import Beat, State
    from unit.adapters.peer import Conversation

ADDRESS = "127.0.0.1"
LABELS = {"allod.dev/model": "chat", "allod.dev/revision": "5b21aa0c"}


def pod(
    *, uid: str = "u1", ip: str = ADDRESS, restarts: int = 0, started: bool = False, probe: str = "/allod/ready", **other: Any
) -> Manifest:
    engine = {
        "name": "engine",
        "restartCount": restarts,
        "started": started,
        "ready": started,
        "state": other.get("state", {"running": {}}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": other.get("name", "chat-0"), "namespace": "ai", "uid": uid, "labels": other.get("labels", LABELS)},
        "spec": {
            "nodeName": other.get("node", "n1"),
            "containers": [{"name": "sidecar"}, {"name": "engine", "readinessProbe": {"httpGet": {"path": probe, "port": "http"}}}],
        },
        "status": {"podIP": ip, "containerStatuses": [engine]},
    }


class Cluster:
    """Pods, engines in them, and the heartbeats that are heard."""

    def __init__(self) -> None:
        self.pods: dict[Ref, Manifest] = {}
        self.told: list[tuple[str, State]] = []
        self.metrics = Metrics()
        self.port = free_port()
        self.heartbeats = Heartbeats(self.pods.get, self._changed, self.metrics, port=self.port)
        self.peers: list[Peer] = []
        self._news = asyncio.Event()

    def _changed(self, told: Manifest) -> None:
        self._news.set()
        self.told.append((told["metadata"]["uid"], self.beats(told)[told["metadata"]["uid"]].state))

    async def engine(self, *conversations: Conversation, ip: str = ADDRESS) -> Peer:
        made = Peer(*conversations, host=ip, port=self.port)
        self.peers.append(made)
        await made.start()
        return made

    def beats(self, *pods: Manifest) -> dict[str, Beat]:
        self.pods |= {ref(each): each for each in pods}
        return dict(self.heartbeats.of(pods))

    async def until(self, one: Manifest, state: State) -> float:
        """Seconds. Looks as a reconcile does: whenever it is told that something changed."""
        began = time.monotonic()
        async with asyncio.timeout(10):
            while self.beats(one)[one["metadata"]["uid"]].state != state:
                self._news.clear()
                await self._news.wait()
        return time.monotonic() - began

    async def tells(self, uid: str, state: State) -> None:
        """Until it is told, though the state may be no news."""
        async with asyncio.timeout(10):
            while (uid, state) not in self.told:
                self._news.clear()
                await self._news.wait()

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    made = Cluster()
    running = asyncio.create_task(made.heartbeats.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    for each in made.peers:
        await each.die()


async def test_an_engine_is_heard_and_told_of_once(cluster: Cluster) -> None:
    await cluster.engine(well)
    first = cluster.beats(pod())["u1"]
    assert (first.state, first.message, first.heard) == ("Unknown", "not looked long enough", False)
    await cluster.until(pod(), "Serving")
    await asyncio.sleep(0.5)
    assert cluster.told == [("u1", "Serving")]


async def test_llama_cpp_is_asked_for_its_health(cluster: Cluster) -> None:
    engine = await cluster.engine(answers(*[page(200)] * 9))
    await cluster.until(pod(probe="/health"), "Serving")
    assert engine.requests[0].startswith(b"GET /health ")


@pytest.mark.parametrize(
    "other",
    [
        pod(ip=""),
        pod(labels={"allod.dev/model": "chat"}),
        pod(labels={}),
        pod(state={"waiting": {"reason": "CrashLoopBackOff"}}),
        pod(state={"terminated": {"exitCode": 1}}),
        pod(probe="/my/own"),
        {**pod(), "status": {}},
        {**pod(), "spec": {"containers": [{"name": "engine"}]}},
    ],
    ids=["no address", "no revision", "not ours", "waits", "ended", "another probe", "new", "no probe"],
)
async def test_a_pod_without_an_engine_to_listen_to_has_no_beat(cluster: Cluster, other: Manifest) -> None:
    assert cluster.beats(other) == {}


async def test_a_dead_engine_is_told_of_at_once(cluster: Cluster) -> None:
    engine = await cluster.engine(well)
    await cluster.until(pod(started=True), "Serving")
    await engine.die()
    await cluster.until(pod(started=True), "Gone")
    assert cluster.told == [("u1", "Serving"), ("u1", "Gone")]


@pytest.mark.parametrize("later", [pod(restarts=1), pod(uid="u2")], ids=["restarted", "another pod of its name"])
async def test_another_life_on_the_same_address_begins_anew(cluster: Cluster, later: Manifest) -> None:
    engine = await cluster.engine(well)
    await cluster.until(pod(), "Serving")
    assert [each.state for each in cluster.beats(later).values()] == ["Unknown"]
    await cluster.until(later, "Serving")
    assert len(engine.requests) == 2
    assert cluster.sample("allod_heartbeat_pods", state="Serving") == 1


async def test_a_pod_that_kubelet_calls_started_is_looked_at_at_once(cluster: Cluster) -> None:
    await cluster.until(pod(), "Starting")
    await asyncio.sleep(1.2)
    assert cluster.told == [("u1", "Starting")]
    await cluster.engine(well)
    cluster.beats(pod(started=True))
    await cluster.until(pod(started=True), "Serving")


async def test_a_pod_that_kubelet_calls_started_and_that_refuses_is_gone(cluster: Cluster) -> None:
    await cluster.until(pod(), "Starting")
    await cluster.until(pod(started=True), "Gone")
    assert not cluster.beats(pod(started=True))["u1"].heard


async def test_a_pod_that_is_gone_is_not_listened_to(cluster: Cluster) -> None:
    engine = await cluster.engine(well)
    await cluster.until(pod(), "Serving")
    cluster.pods.clear()
    cluster.heartbeats.forget(ref(pod()))
    cluster.heartbeats.forget(ref(pod()))
    await asyncio.sleep(0.3)
    assert engine.talking == 0


async def test_a_pod_of_whose_end_nobody_told_is_left_after_a_second(cluster: Cluster) -> None:
    first, second = await cluster.engine(well), await cluster.engine(well, ip="127.0.0.2")
    other = pod(name="chat-1", uid="u2", ip="127.0.0.2")
    await cluster.until(pod(), "Serving")
    await cluster.until(other, "Serving")
    del cluster.pods[ref(pod())]
    cluster.pods[ref(other)] = {**other, "status": {**other["status"], "phase": "Running"}}
    await asyncio.sleep(1.5)
    assert (first.talking, second.talking) == (0, 1)


async def test_connections_end_with_the_leadership() -> None:
    cluster = Cluster()
    running = asyncio.create_task(cluster.heartbeats.run())
    engine = await cluster.engine(well)
    await cluster.until(pod(), "Serving")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await asyncio.sleep(0.3)
    assert engine.talking == 0
    assert cluster.sample("allod_heartbeat_pods", state="Serving") == 0
    await engine.die()


async def test_the_figures(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    await cluster.engine(well)
    await cluster.until(pod(), "Serving")
    await asyncio.sleep(0.5)
    time.sleep(1)  # noqa: ASYNC251  # a loop that stands still is the point
    await asyncio.sleep(0.2)
    assert cluster.sample("allod_heartbeat_pods", state="Serving") == 1
    assert cluster.sample("allod_heartbeat_pods", state="Gone") == 0
    assert (cluster.sample("allod_heartbeats_total") or 0) >= 3
    ticks, quick = cluster.sample("allod_event_loop_lag_seconds_count"), cluster.sample("allod_event_loop_lag_seconds_bucket", le="0.25")
    assert (ticks or 0) > (quick or 0)
    assert "the event loop stood still; silence in this time does not count" in caplog.messages
    assert cluster.told == [("u1", "Serving")]


async def test_of_a_group_the_first_pod_alone_is_listened_to(cluster: Cluster) -> None:
    group = LABELS | {"allod.dev/group": "0"}
    ranks = [pod(uid=f"u{rank}", name=f"chat-g0-{rank}", labels=group | {"apps.kubernetes.io/pod-index": str(rank)}) for rank in range(3)]
    assert list(cluster.beats(*ranks)) == ["u0"]


async def test_the_first_silence_of_a_broken_way_is_not_believed_and_what_stays_silent_is_looked_at_again(
    cluster: Cluster,
) -> None:
    pods = [pod(uid=f"u{n}", name=f"chat-{n}", ip=f"127.0.0.{n}", node=f"n{n % 2}", started=True) for n in (1, 2, 3)]
    speaks = [asyncio.Event() for _ in pods]

    def while_it_may(event: asyncio.Event) -> Conversation:
        async def conversation(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(HEAD)
            with contextlib.suppress(ConnectionError):
                while True:
                    await event.wait()
                    writer.write(line())
                    await writer.drain()
                    await asyncio.sleep(BEAT)

        return conversation

    for each, event in zip(pods, speaks, strict=True):
        event.set()
        await cluster.engine(while_it_may(event), ip=each["status"]["podIP"])
        await cluster.until(each, "Serving")
    cluster.beats(*pods)
    assert cluster.heartbeats.blind() == ""
    for event in speaks:
        event.clear()
        await asyncio.sleep(0.2)
    await cluster.until(pods[0], "Silent")
    assert cluster.heartbeats.blind().startswith("none of 3 pods on 2 nodes was heard for ")
    cluster.told.clear()
    for event in speaks[1:]:
        event.set()
    await cluster.tells("u1", "Silent")
    assert cluster.heartbeats.blind() == ""
