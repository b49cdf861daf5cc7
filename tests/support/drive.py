"""The whole shell on a FakeCluster: what a change leads to, step by step, without a process and without waiting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from allod.adapters.resources import OPTIONAL
from allod.domain.serving.seen import Defaults
from allod.reconcile.modeldeployment import ModelDeployments
from allod.reconcile.observe import Senses
from allod.runtime.routing import concerned, model_ref, told
from allod.runtime.store import Store
from support.cluster import FakeCluster
from support.nodes import Nodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from allod.api.canary import Comparison
    from allod.api.slo import Slo
    from allod.domain.manifest import Manifest, Ref
    from allod.domain.serving.canary.contest import Duel
    from allod.domain.serving.health.beat import Beat
    from allod.domain.serving.health.measurement import Measurement
    from allod.domain.serving.health.windows import Window
    from allod.domain.serving.seen import EngineFigures
    from allod.reconcile.world import Outcome, Pair

NAMESPACE = "ai"
DEFAULTS = Defaults(vllm_image="vllm:1", vllm_cpu_image="vllm-cpu:1", llamacpp_image="llama:1", inspect_image="allod:1")
SPEC: dict[str, Any] = {
    "model": {"uri": "oci://registry.example.com/models/smollm2:1/model.gguf"},
    "engine": {"type": "LlamaCpp"},
    "resources": {"memory": "1Gi"},
    "replicas": 2,
    "rollout": {"bake": "0s"},
}
ROUNDS = 60
"""Enough for any rollout; one that needs more does not come to rest."""


class Ears:
    """Hears of pods what a test says: reconcile.world.Ears."""

    def __init__(self) -> None:
        self.beats: dict[str, Beat] = {}
        """By the pod's uid."""

    def of(self, seen: Iterable[Manifest]) -> Mapping[str, Beat]:
        return {pod["metadata"]["uid"]: self.beats[pod["metadata"]["uid"]] for pod in seen if pod["metadata"]["uid"] in self.beats}

    def blind(self) -> str:
        return ""


class Windows:
    """What engines counted: reconcile.world.Windows. Nothing of pods that nobody spoke of."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Window]] = {}
        self.asked: list[tuple[int, tuple[str, ...]]] = []
        """How many pods, and the names of the objectives."""
        self.rules: tuple[Comparison, ...] = ()
        self.pairs: list[Pair] = []
        self.measured: Measurement | None = None

    def of(
        self, pods: tuple[Manifest, ...], slos: tuple[Slo, ...], rules: tuple[Comparison, ...] = ()
    ) -> Mapping[str, Mapping[str, Window]]:
        self.rules = rules
        self.asked.append((len(pods), tuple(slo.name for slo in slos)))
        return self.found if pods and slos else {}

    def duel(self, pair: Pair) -> Duel | None:
        self.pairs.append(pair)
        return None

    def measurement(self, pods: tuple[Manifest, ...]) -> Measurement | None:
        return self.measured if pods else None


class Drive:
    """One namespace, its nodes and an operator."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.nodes = Nodes(self.cluster)
        self.now = datetime(2026, 11, 20, tzinfo=UTC)
        self.figures: dict[str, EngineFigures] = {}
        self.ears = Ears()
        self.windows = Windows()
        self._due: set[Ref] = set()
        self._store = Store(self._changed, self._wrote)
        self.cluster.watch(lambda how, manifest: self._store.drop(manifest) if how == "DELETED" else self._store.put(manifest))
        self.restart()

    def restart(self) -> None:
        """The operator's memory is lost; the cluster is not."""
        self._store = Store(self._changed, self._wrote)
        for each in self.cluster.objects.values():
            self._store.put(each)
        self._models = ModelDeployments(
            self.cluster,
            Senses(self._store, self, self.ears, self.windows),
            defaults=DEFAULTS,
            apis=self._apis,
            clock=lambda: self.now,
            identity="allod-0",
        )

    def of(self, pods: tuple[Manifest, ...]) -> Mapping[str, EngineFigures]:
        """What engines say: reconcile.world.Figures."""
        return self.figures if pods else {}

    def create(self, name: str = "chat", **changes: Any) -> Ref:
        target = model_ref(NAMESPACE, name)
        meta = {"name": name, "namespace": NAMESPACE}
        self.cluster.add({"apiVersion": target.api_version, "kind": target.kind, "metadata": meta, "spec": SPEC | changes})
        return target

    def edit(self, name: str = "chat", **changes: Any) -> None:
        self.cluster.edit(model_ref(NAMESPACE, name), lambda model: model["spec"].update(changes))

    async def reconcile(self, name: str = "chat") -> bool:
        """One look. Returns whether something was written."""
        return (await self.look(name)).changed

    async def look(self, name: str = "chat") -> Outcome:
        """One look, and what came of it."""
        return await self._models.reconcile(model_ref(NAMESPACE, name))

    async def settle(self) -> None:
        """Operator, controllers and nodes take turns until nobody has anything to do."""
        for _ in range(ROUNDS):
            worked = await self._work()
            self.now += timedelta(seconds=1)
            if not self.nodes.step() and not worked and not self._due:
                return
        raise AssertionError(f"it does not come to rest: {self.cluster.writes[-10:]}")

    async def _work(self) -> bool:
        due, self._due = self._due, set()
        for target in sorted(due):
            if (await self._models.reconcile(target)).changed:
                self._due.add(target)
        return bool(due)

    def model(self, name: str = "chat") -> Manifest:
        return self.cluster.objects[model_ref(NAMESPACE, name)]

    def condition(self, kind: str, name: str = "chat") -> dict[str, Any]:
        conditions = self.model(name).get("status", {}).get("conditions", ())
        return next((each for each in conditions if each["type"] == kind), {})

    def _apis(self, _namespace: str) -> frozenset[str]:
        return frozenset(f"{each.api_version}/{each.kind}" for each in OPTIONAL if (each.api_version, each.kind) in self.cluster.kinds)

    def _wrote(self, old: Manifest | None, new: Manifest | None) -> None:
        self._due |= told(self._store, old, new)

    def _changed(self, old: Manifest | None, new: Manifest | None) -> None:
        self._due |= concerned(self._store, old, new)
