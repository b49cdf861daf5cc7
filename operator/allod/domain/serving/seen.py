"""Everything that a decision about one ModelDeployment may use: read by `reconcile/`, frozen, and never more than this."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from allod.domain.serving.claim import Claim

if TYPE_CHECKING:
    from collections.abc import Mapping

    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.manifest import Manifest
    from allod.domain.serving.canary.contest import Duel
    from allod.domain.serving.health.beat import Beat
    from allod.domain.serving.health.measurement import Measurement
    from allod.domain.serving.health.windows import Window


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the person who installed the operator chose once, for every model. Filled from the chart's values."""

    vllm_image: str
    """Engine image of `engine.type: vLLM` on GPUs when the spec names none."""
    vllm_cpu_image: str
    """The same for a vLLM that reserves no GPU."""
    llamacpp_image: str
    inspect_image: str
    """The operator's own image: its `allod inspect` reads a mounted model before the engine starts."""
    cluster_domain: str = "cluster.local"
    operator_namespace: str = "allod-system"
    """Where the operator runs: NetworkPolicies let it read the engines' metrics from there."""


@dataclass(frozen=True, slots=True)
class Neighbour(Claim):
    """Another ModelDeployment of the same namespace: enough to see that two models claim one name, and who needs a standby."""

    needs_standby: bool = False
    """It wants that one to serve now: `status.standby.needed`."""


@dataclass(frozen=True, slots=True)
class Companion:
    """A ModelDeployment that answers for this one, or could."""

    name: str
    served_names: frozenset[str]
    """That its spec asks for."""
    task: str
    replicas: int
    """Of its spec."""
    suspended: bool
    """`spec.suspend`: a cold one would not start."""
    standby: str | None
    """Whom it names in turn."""
    revision: str | None
    """Where its own Service points. None: it has none yet, or is on its own standby."""
    pods: tuple[Manifest, ...] = ()
    """Of that revision."""
    grouped: bool = False
    """Its replicas have several pods each, as the selector of its Service tells."""
    known_names: frozenset[str] | None = None
    """With which those pods were started. None: nobody remembers."""


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """What the engine itself says of its memory once it runs, read from its metrics page."""

    kv_cache_tokens: int
    max_concurrency: float


@dataclass(frozen=True, slots=True)
class Seen:
    """One ModelDeployment and its world at one moment."""

    model: ModelDeployment
    status: Mapping[str, Any]
    """`status` as it was read; empty on a new object."""
    children: tuple[Manifest, ...]
    """Every object of ours that this ModelDeployment owns by ownerReference (ControllerRevisions, StatefulSets, Services, ...); no pods."""
    pods: tuple[Manifest, ...]
    """Pods of its StatefulSets, terminating ones included."""
    defaults: Defaults
    former: tuple[Manifest, ...] = ()
    """Of StatefulSets that are gone, which are to go too, or terminate already."""
    neighbours: tuple[Neighbour, ...] = ()
    apis: frozenset[str] = frozenset()
    """Optional API groups that this cluster serves now, as `group/version/Kind`: monitoring.coreos.com/v1/PodMonitor, ..."""
    figures: Mapping[str, EngineFigures] = field(default_factory=dict)
    """By revision hash; only engines that were ready and answered."""
    companions: Mapping[str, Companion] = field(default_factory=dict)
    """By name: the model that `spec.standby` names, and the one that has the traffic where that is another. Only those that exist."""
    beats: Mapping[str, Beat] = field(default_factory=dict)
    """What the operator's own connections say of pods, of the companions' too; by uid."""
    blind: str = ""
    """Why silence says nothing at present: most pods fell silent at once. Empty when it does."""
    moved_lately: int = 0
    """Other models that this operator moved to their standbys within the window of its blast radius."""
    windows: Mapping[str, Mapping[str, Window]] = field(default_factory=dict)
    """By revision hash, then by the name of the SLO in `health.slos`; only revisions with pods that were asked."""
    duel: Duel | None = None
    """The revision on trial against the active one, as far as their engines were asked."""
    measurement: Measurement | None = None
    """What a Prometheus knows of the serving pods. None: the operator reads their counters itself, or needs none."""
    events: tuple[Manifest, ...] = ()
    """Warning events about the StatefulSets of this model (a refused pod never becomes a pod: quota, policy, admission)."""
