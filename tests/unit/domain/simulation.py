"""A whole model's life without a cluster: decide, plan, and just enough Kubernetes to answer.

The StatefulSet controller, a scheduler that counts GPUs, and engines that do as a test says. `settle` reconciles until nothing changes and
says what was done, as data. Revisions are called A, B, C in the order in which they were made: a hash tells a reader nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from allod.api.modeldeployment import ModelDeployment
from allod.domain.conditions import timestamp
from allod.domain.manifest import Manifest, Ref, ref
from allod.domain.names import MODEL, RANK, REPLICA_GROUP, REVISION
from allod.domain.serving import pod as pods
from allod.domain.serving.decide import decide
from allod.domain.serving.groups.group import leads
from allod.domain.serving.health.beat import Beat
from allod.domain.serving.moments import past
from allod.domain.serving.seen import Companion, Defaults, EngineFigures, Neighbour, Seen
from allod.render.serving.plan import plan
from unit.domain.documents import copied
from unit.domain.ranks import ENDED, dated, ranked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from allod.domain.plan import Event, Plan
    from allod.domain.serving.canary.contest import Duel
    from allod.domain.serving.health.beat import State
    from allod.domain.serving.health.measurement import Measurement
    from allod.domain.serving.health.windows import Window

START = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
DEFAULTS = Defaults(
    vllm_image="registry.test/vllm:v0.32.0",
    vllm_cpu_image="registry.test/vllm-cpu:v0.32.0",
    llamacpp_image="registry.test/llama.cpp:b11669",
    inspect_image="registry.test/allod:0.1.0",
)
SPEC: dict[str, Any] = {
    "model": {"uri": "pvc://models/smollm2"},
    "engine": {"type": "vLLM", "maxModelLen": 16384},
    "resources": {"gpu": {"count": 1, "memory": "80Gi"}, "memory": "32Gi"},
    "replicas": 1,
    "rollout": {"bake": "0s"},
}
"""Without a bake time a rollout is over when traffic has moved; `test_bakes` is about the others."""
MOST_STEPS = 60
"""Nothing of ours needs so many: a world that does not come to rest is a bug."""

Status = dict[str, Any]


def ready() -> Status:
    """Its engine serves."""
    return {"phase": "Running", "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}]}


def starting() -> Status:
    """Its engine loads, for as long as the test likes."""
    return {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}]}


def refused(reason: str = "DoesNotFit", verdict: str = "Misfit") -> Status:
    """Its inspection ended with a refusal."""
    message = f'{{"verdict": "{verdict}", "reason": "{reason}", "message": "weights 26.1 GiB do not fit"}}'
    ended = {"exitCode": 1, "message": message}
    return starting() | {"initContainerStatuses": [{"name": "inspect", "state": {"terminated": ended}}]}


def hung() -> Status:
    """Its engine served, and readiness fails now."""
    return starting() | {"containerStatuses": [{"name": "engine", "started": True, "ready": False, "state": {"running": {}}}]}


def crashing(words: str = "RuntimeError: no", restarts: int = 3) -> Status:
    """Its engine ends again and again."""
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 40s"}
    last = {"exitCode": 1, "message": words, "startedAt": "2026-11-20T02:00:00Z", "finishedAt": "2026-11-20T02:00:09Z"}
    engine = {"name": "engine", "restartCount": restarts, "state": {"waiting": waiting}, "lastState": {"terminated": last}}
    return starting() | {"containerStatuses": [engine]}


def no_gpus() -> Status:
    """No node has a GPU for it."""
    says = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."
    return {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": says}]}


def accepted(route: Manifest) -> Status:
    """The Gateway sends by it."""
    conditions = [{"type": kind, "status": "True"} for kind in ("Accepted", "ResolvedRefs")]
    return {"parents": [{"parentRef": parent, "conditions": conditions} for parent in route["spec"]["parentRefs"]]}


@dataclass
class World:
    """One namespace with one model."""

    spec: dict[str, Any] = field(default_factory=lambda: copied(SPEC))
    gpus: int = 100
    engine: Callable[[str], Status] = field(default=lambda _revision: ready())
    """What a pod that has its GPUs does, by the letter of its revision."""
    neighbours: tuple[Neighbour, ...] = ()
    generation: int = 1
    status: dict[str, Any] = field(default_factory=dict)
    children: dict[Ref, Manifest] = field(default_factory=dict)
    pods: dict[str, Manifest] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    now: datetime = START
    letters: dict[str, str] = field(default_factory=dict)
    apis: frozenset[str] = frozenset()
    figures: EngineFigures | None = None
    """What engines that serve say of their memory."""
    warnings: tuple[Manifest, ...] = ()
    """Events about StatefulSets."""
    companion: Companion | None = None
    """The model that `spec.standby` names."""
    moved_lately: int = 0
    hears: Callable[[str], Beat | None] = field(default=lambda _revision: None)
    """What the operator's own connection says of the pods of a revision, by its letter; `standby` stands for the companion's."""
    heard_of: dict[str, Beat] = field(default_factory=dict)
    """The same of single pods, by name."""
    blind: str = ""
    windows: Callable[[str], dict[str, Window]] = field(default=lambda _revision: {})
    """What the engines of a revision counted, by the names of the objectives."""
    measurement: Measurement | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    duel: Callable[[str, str], Duel | None] = field(default=lambda _new, _old: None)
    """How the desired revision stands against the active one, by their hashes."""
    gateway: Callable[[Manifest], Status] = field(default=accepted)
    """What the controller of the Gateway says of a route."""

    def edit(self, **changes: Any) -> None:
        """Write the spec, as `kubectl edit` does: dots in names as double underscores."""
        for path, value in changes.items():
            *sections, last = path.split("__")
            part = self.spec
            for section in sections:
                part = part.setdefault(section, {})
            part[last] = value
        self.generation += 1

    @property
    def model(self) -> ModelDeployment:
        metadata = {
            "name": "chat",
            "namespace": "ai",
            "uid": "u-1",
            "generation": self.generation,
            "annotations": self.annotations,
            "creationTimestamp": "2026-11-20T01:00:00Z",
        }
        return ModelDeployment.model_validate({"metadata": metadata, "spec": self.spec})

    @property
    def seen(self) -> Seen:
        return Seen(
            model=self.model,
            status=past({"status": copied(self.status)}, self.now)["status"],
            children=tuple(self.children.values()),
            pods=tuple(copied(list(self.pods.values()))),
            defaults=DEFAULTS,
            neighbours=self.neighbours,
            apis=self.apis,
            figures=dict.fromkeys(self.letters, self.figures) if self.figures else {},
            events=self.warnings,
            companions={"chat-small": self.companion} if self.companion else {},
            moved_lately=self.moved_lately,
            beats=self._beats(),
            blind=self.blind,
            windows={name: self.windows(letter) for name, letter in self.letters.items()},
            measurement=self.measurement,
            duel=self.duel(self.status.get("desiredRevision", ""), self.status.get("activeRevision", "")),
        )

    def _beats(self) -> dict[str, Beat]:
        heard = {name: self.hears(self.letter(pod["metadata"]["labels"][REVISION])) for name, pod in self.pods.items()}
        heard |= self.heard_of
        standbys = self.companion.pods if self.companion else ()
        heard |= {pod["metadata"]["uid"]: self.hears("standby") for pod in standbys}
        return {uid: beat for uid, beat in heard.items() if beat}

    def reconcile(self) -> Plan:
        """One look and what follows."""
        seen = self.seen
        made = plan(seen, decide(seen, self.now))
        for manifest in made.objects:
            before = self.children.get(ref(manifest), {})
            if (after := manifest | ({"status": before["status"]} if "status" in before else {})) != before:
                self.children[ref(manifest)] = copied(after)
        for gone in made.delete:
            self.children.pop(gone, None)
        for ending in made.endings:
            if ending.grace != 0:  # what a test says that is heard of a hung pod would be heard of its successor too, for ever
                self.pods.pop(ending.pod["metadata"]["name"])
        for patch in made.marks:
            meta = self.pods[patch["metadata"]["uid"]]["metadata"]
            for kind in ("labels", "annotations"):
                meta[kind] = meta.get(kind, {}) | patch["metadata"].get(kind, {})
        if made.status is not None:
            self.status = copied(made.status)
        self.events += made.events
        return made

    def settle(self) -> list[str]:
        """Reconcile and let Kubernetes answer until neither changes anything. Returns what was done."""
        steps: list[str] = []
        for _ in range(MOST_STEPS):
            before = self._everything()
            self.reconcile()
            steps += self._told(before[0])
            self.kubernetes()
            self.now += timedelta(seconds=1)
            if before == self._everything():
                return steps
        raise AssertionError(f"it does not come to rest: {steps}")

    def kubernetes(self) -> None:
        """StatefulSets get their pods, pods get GPUs while there are any, engines do what they do, a Gateway takes routes."""
        for route in self._kind("HTTPRoute"):
            route["status"] = self.gateway(route)
        wanted = {name: sts for sts in self._kind("StatefulSet") for name in _pod_names(sts)}
        self.pods = {name: pod for name, pod in self.pods.items() if name in wanted}
        for name, statefulset in wanted.items():
            if name not in self.pods:
                template = copied(statefulset["spec"]["template"])
                labels = template["metadata"]["labels"] | {RANK: name.rpartition("-")[2]}
                meta = {"name": name, "namespace": "ai", "uid": name, "labels": labels, "creationTimestamp": timestamp(self.now)}
                self.pods[name] = {"metadata": meta, "spec": template["spec"]}
        free, up = self.gpus, {name for name, pod in self.pods.items() if "status" in pod and pods.is_ready(pod)}
        for pod in sorted(self.pods.values(), key=lambda pod: (not pod["spec"].get("nodeName"), pod["metadata"]["name"])):
            letter = self.letter(pod["metadata"]["labels"][REVISION])
            needs = self._needs(pod)
            if needs > free and not pod["spec"].get("nodeName"):
                pod["status"] = no_gpus()
                continue
            free -= needs
            pod["spec"]["nodeName"] = "n1"
            pod["status"] = dated(self.engine(letter), pod.get("status") or {}, self.now)
        for name, pod in self.pods.items():
            if REPLICA_GROUP in pod["metadata"]["labels"] and pod["spec"].get("nodeName"):
                ranked(pod, gathers=name not in up and not self._placed(name))

    def _placed(self, name: str) -> bool:
        """Whether every pod of its group has a node."""
        peers = self._ranks(name, self.pods[name]["metadata"]["labels"])
        return all(peer in self.pods and self.pods[peer]["spec"].get("nodeName") for peer in peers)

    def rank_ends(self, name: str) -> None:
        """The engine in this pod ends, and its kubelet starts it again."""
        self.pods[name]["metadata"]["annotations"] = {ENDED: timestamp(self.now)}
        self.pods[name]["status"].pop("containerStatuses", None)
        ranked(self.pods[name], gathers=False)

    def wait(self, seconds: int) -> list[str]:
        """Time goes by. The operator looks when it said that it would, and whenever something changes."""
        end, steps = self.now + timedelta(seconds=seconds), self.settle()
        while self.now < end:
            due = self.reconcile().requeue_after
            self.now = min(end, self.now + due) if due else end
            steps += self.settle()
        return steps

    def letter(self, revision: str) -> str:
        return self.letters.setdefault(revision, ascii_uppercase[len(self.letters)])

    @property
    def route(self) -> str:
        service = self.children.get(Ref("v1", "Service", "ai", "chat"))
        if service is None:
            return "-"
        selector = service["spec"]["selector"]
        return self.letter(selector[REVISION]) if selector[MODEL] == "chat" else str(selector[MODEL])

    @property
    def weights(self) -> dict[str, int]:
        """What the Gateway sends where, by letters; empty without a route."""
        route = self.children.get(Ref("gateway.networking.k8s.io/v1", "HTTPRoute", "ai", "chat"))
        backends = route["spec"]["rules"][0]["backendRefs"] if route else []
        names = {f"chat-{revision}": letter for revision, letter in self.letters.items()}
        return {names.get(each["name"], each["name"]): each["weight"] for each in backends if each["weight"]}

    def serving(self) -> list[str]:
        """Replicas that answer, by the letters of their revisions: of a group its first pod, while every rank of it is up."""
        up = {name for name, pod in self.pods.items() if pods.is_ready(pod)}
        found = [(name, pod["metadata"]["labels"]) for name, pod in self.pods.items() if leads(pod)]
        return sorted(self.letter(labels[REVISION]) for name, labels in found if set(self._ranks(name, labels)) <= up)

    def _ranks(self, name: str, labels: Mapping[str, str]) -> list[str]:
        """Names of all pods of a replica, by that of its first."""
        if REPLICA_GROUP not in labels:
            return [name]
        group = name.rpartition("-")[0]
        made = self.children.get(Ref("apps/v1", "StatefulSet", "ai", group))
        # One that was deleted is gone before its pods are.
        return _pod_names(made) if made else [each for each in self.pods if each.rpartition("-")[0] == group]

    def condition(self, kind: str) -> tuple[str, str, str]:
        found = next(each for each in self.status["conditions"] if each["type"] == kind)
        return found["status"], found["reason"], found["message"]

    def state(self, letter: str) -> str:
        found = next(each for each in self.status["revisions"] if self.letter(each["name"]) == letter)
        return str(found["state"])

    def told(self) -> list[str]:
        """Events so far, with letters for hashes."""
        said = [f"{event.type} {event.reason}: {event.message}" for event in self.events]
        return [self._lettered(line) for line in said]

    def _lettered(self, text: str) -> str:
        for revision, letter in self.letters.items():
            text = text.replace(revision, letter)
        return text

    def _needs(self, pod: Manifest) -> int:
        limits = next(part for part in pod["spec"]["containers"] if part["name"] == "engine")["resources"]["limits"]
        return int(limits.get("nvidia.com/gpu", 0))

    def _kind(self, kind: str) -> list[Manifest]:
        return [child for child in self.children.values() if child["kind"] == kind]

    def _everything(self) -> tuple[Any, ...]:
        """What we did and said, and what Kubernetes and the Gateway say."""
        told = [[pod["metadata"], pod["spec"].get("nodeName"), pod.get("status")] for pod in self.pods.values()]
        routes = [route.get("status") for route in self._kind("HTTPRoute")]
        return self._facts(), copied(self.status), copied(told), copied(routes)

    def _facts(self) -> dict[str, int | str]:
        return self.asked() | {"route": self.route} | ({"weights": str(self.weights)} if self.weights else {})

    def asked(self) -> dict[str, int]:
        """Replicas that are asked for, by the letter of the revision."""
        # The Service of a revision is there for as long as its pods may be; of groups there may be none at a time.
        services = [each for each in self._kind("Service") if "clusterIP" not in each["spec"]]
        found = {self.letter(each["metadata"]["labels"][REVISION]): 0 for each in services if REVISION in each["metadata"]["labels"]}
        for statefulset in self._kind("StatefulSet"):
            labels = statefulset["metadata"]["labels"]
            letter = self.letter(labels[REVISION])
            found[letter] = found.get(letter, 0) + (1 if REPLICA_GROUP in labels else statefulset["spec"]["replicas"])
        return found

    def _told(self, before: dict[str, int | str]) -> list[str]:
        after = self._facts()
        routes = ("route", "weights")
        scaled = [f"{name}: {pods} pods" for name, pods in after.items() if name not in routes and before.get(name) != pods]
        moved = [f"route {after['route']}"] if before["route"] != after["route"] else []
        if self.weights and before.get("weights") != after["weights"]:
            moved.append("gateway " + ", ".join(f"{name} {weight}" for name, weight in self.weights.items()))
        gone = [f"{name}: gone" for name in before if name not in after]
        return scaled + moved + gone

    def lose_status(self) -> None:
        """A restore of etcd, or a person with kubectl."""
        self.status = {}

    def with_neighbour(self, name: str, created: str, *served: str, **more: Any) -> None:
        self.neighbours = (*self.neighbours, Neighbour(name, created, frozenset(served), **more))


def heard(state: State, message: str, at: datetime, *, before: bool = True) -> Beat:
    """What our own connection says. `before`: whether it ever heard this pod."""
    return Beat(state, at, message, heard=before)


def companion(*, up: int = 1, replicas: int = 1, **other: Any) -> Companion:
    """chat-small: a standby that answers for chat, with `up` ready pods."""
    names = [f"chat-small-5ba11000-{number}" for number in range(up)]
    found = tuple({"metadata": {"name": name, "uid": name}, "status": ready()} for name in names)
    fields: dict[str, Any] = {
        "name": "chat-small",
        "served_names": frozenset({"chat", "chat-small"}),
        "task": "Generate",
        "replicas": replicas,
        "suspended": False,
    }
    return Companion(**(fields | {"standby": None, "revision": "5ba11000", "pods": found} | other))


def _pod_names(statefulset: Manifest) -> list[str]:
    return [f"{statefulset['metadata']['name']}-{number}" for number in range(statefulset["spec"]["replicas"])]


def serving_world(**spec: object) -> World:
    """A at rest, everything before it forgotten."""
    world = World()
    for name, value in spec.items():
        world.spec[name] = value
    world.settle()
    world.events.clear()
    return world
