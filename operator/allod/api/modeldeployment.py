"""ModelDeployment: a language model behind an OpenAI-compatible Service."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from allod.api import adapterrules
from allod.api import modeldeploymentrules as refuse
from allod.api.adapter import Adapter
from allod.api.base import ApiModel, LabelMap, Name, ObjectMeta
from allod.api.canaryrules import SPEC as CANARY
from allod.api.corev1 import Affinity, Key, NetworkPolicyPeer, PodTemplate, Toleration
from allod.api.engine import Engine
from allod.api.markers import ListMap, ListSet, SchemaDefault
from allod.api.modeldeploymentstatus import ModelDeploymentStatus
from allod.api.modeluri import ModelUri
from allod.api.rollout import Failover, Page, Rollback, Rollout, Standby
from allod.api.rolloutrules import STANDBY_IS_ITSELF, STRATEGY
from allod.api.slo import Slo
from allod.api.slorules import SPEC as SLOS
from allod.api.values import Cpu, Duration, Memory

ServedName = Annotated[str, Field(min_length=1, max_length=128), refuse.SERVED_NAME]


class SecretKeyReference(ApiModel):
    """A token in a Secret of the same namespace."""

    name: Name
    """Name of the Secret."""
    key: Name = "token"
    """The key that holds the token."""


class Model(ApiModel):
    """Which model, from where, and under which names clients ask for it."""

    uri: ModelUri
    """Where the files are: hf://org/name (downloaded by the engine for each new pod, to the disk of its node, which needs room for them),
    pvc://claim/path (a volume, mounted read-only), oci://image:tag/path (a container image, mounted read-only), file:///path (a folder of
    the node, read-only)."""
    revision: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """Branch, tag or, better, commit of a hf:// repository: only a commit makes going back exact. Without it: main, as it is at
    each start of a pod."""
    served_name: ServedName | None = None
    """What clients put into the field model of their requests. Without it: metadata.name."""
    aliases: Annotated[tuple[ServedName, ...], Field(max_length=16), ListSet()] = ()
    """Further names that clients may use."""
    task: Literal["Generate", "Embed", "Rerank"] = "Generate"
    """What the model is for: chat and completions, embeddings, or reranking. It cannot be changed: its clients are others."""
    secret_ref: SecretKeyReference | None = None
    """Token for a hf:// repository that is not public."""

    rules = refuse.MODEL


class Parallelism(ApiModel):
    """How one replica is spread over GPUs, those of all its nodes together."""

    tensor: Annotated[int, Field(ge=1, le=64)] = 1
    """Each layer is split into this many parts. The model's attention heads must be divisible by it."""
    pipeline: Annotated[int, Field(ge=1, le=64)] = 1
    """The layers are put into this many groups, one after the other."""


class Gpu(ApiModel):
    """GPUs of one pod."""

    count: Annotated[int, Field(ge=1, le=64)]
    """How many: parallelism.tensor x parallelism.pipeline, divided by nodes."""
    resource_name: Annotated[Key, refuse.GPU_RESOURCE] = "nvidia.com/gpu"
    """What the device plugin calls them."""
    memory: Memory | None = None
    """Memory of one GPU, such as 80Gi, by which the operator checks that the model fits before it takes GPUs. Without it: the check
    is left to the engine."""


class Resources(ApiModel):
    """What one pod reserves. A replica is one pod, or as many as nodes says."""

    gpu: Gpu | None = None
    """GPUs. Without it: the engine runs on CPUs."""
    cpu: Cpu | None = None
    """Cores that are reserved. Without it: none are, and the engine takes what is left."""
    memory: Memory
    """Memory that is reserved, and the limit: an engine that takes more is killed. sharedMemory counts as part of it."""
    shared_memory: Memory | None = None
    """Size of /dev/shm, by which the processes of one engine exchange data. Without it: 2Gi for vLLM, and none for LlamaCpp, which
    is one process."""

    rules = refuse.RESOURCES


class Health(ApiModel):
    """How patient the operator is."""

    startup_timeout: Annotated[Duration, refuse.between("startup-timeout", "health.startupTimeout", "10s", "24h")] = Duration("30m")
    """From the start of a pod until it serves. After it the engine is restarted, and the revision counts as not startable."""
    hang_timeout: Annotated[Duration, refuse.between("hang-timeout", "health.hangTimeout", "3s", "1h")] = Duration("30s")
    """How long an engine may make no step while requests wait for it (LlamaCpp: may leave /health unanswered). After it the pod gets
    no more requests and is restarted."""
    drain_timeout: Annotated[Duration, refuse.between("drain-timeout", "health.drainTimeout", "0s", "1h")] = Duration("45s")
    """How long requests in flight may take to finish when a pod has to go."""
    failover: Failover = Failover()
    """When traffic goes to the standby, and when it returns."""
    rollback: Rollback = Rollback()
    """When a new revision counts as failed."""
    page: Page = Page()
    """When a person is called."""
    slos: Annotated[tuple[Slo, ...], Field(max_length=16), ListMap()] = ()
    """What clients may expect of each revision. Without one, errors and latencies of a revision are not looked at. They make no new
    revision."""


class Scheduling(ApiModel):
    """Where and when the pods run."""

    priority_class_name: Name | None = None
    """PriorityClass of the pods."""
    queue_name: Annotated[str, Field(min_length=1, max_length=63), refuse.QUEUE_NAME] | None = None
    """LocalQueue of Kueue that admits the pods: the label kueue.x-k8s.io/queue-name."""
    node_selector: LabelMap = Field(default_factory=dict)
    """Labels of the nodes that the pods may run on."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = ()
    """Taints that the pods accept."""
    affinity: Affinity | None = None
    """Which nodes and which neighbours the pods need or like."""
    topology_spread: Literal["Zone", "Node"] | None = None
    """Replicas are spread over zones or over nodes as evenly as can be; never so strictly that a pod stays pending. Without it:
    as the scheduler does by itself."""


class Monitoring(ApiModel):
    """Objects of the Prometheus Operator."""

    pod_monitor: bool = True
    """A PodMonitor that scrapes the engine of every pod."""
    prometheus_rule: bool = True
    """A PrometheusRule with alerts about this model."""
    labels: LabelMap = Field(default_factory=dict)
    """Labels of both objects: many a Prometheus selects by them."""


class NetworkPolicy(ApiModel):
    """Who may connect to the model."""

    allow_from: Annotated[tuple[NetworkPolicyPeer, ...], Field(max_length=32)] | None = None
    """Clients, and Prometheus. Without it: every pod of the model's namespace. An empty list lets nobody in, one empty
    namespaceSelector every pod of the cluster."""


class ModelDeploymentSpec(ApiModel):
    """What should be served, and how. Belongs to the user: the operator never writes it."""

    model: Model
    """Which model, from where, under which names."""
    engine: Engine
    """Which program serves it."""
    parallelism: Parallelism = Parallelism()
    """How one replica is spread over GPUs; on CPUs, over processes. The product of both numbers is the GPUs that a replica needs."""
    nodes: Annotated[int, Field(ge=1, le=64)] = 1
    """Pods of one replica; vLLM only. With more than 1 one engine spans them all, for a model that no single node can hold: the pods of
    a replica form a group, start together, and are all started anew when one of them ends. Its first pod answers for it."""
    resources: Resources
    """What one pod reserves. A replica is one pod, or as many as nodes says."""
    replicas: Annotated[int, Field(ge=0, le=1000), SchemaDefault()] = 1
    """Replicas that serve the model, each a pod or, with nodes, a group of pods. 0 frees its GPUs and keeps everything else."""
    adapters: Annotated[tuple[Adapter, ...], Field(max_length=32), ListMap()] = ()
    """LoRA adapters that the engine answers with beside the model itself; vLLM only. The first one makes a new revision, as do a higher
    rank than all before and a volume that is not mounted yet. Otherwise they come, change and go in running pods."""
    standby: Standby | None = None
    """Who answers while this model cannot. Without it: nobody."""
    health: Health = Health()
    """How patient the operator is, and what clients may expect. Each time-out sets probes, grace periods and the engine's own time-outs
    together."""
    rollout: Rollout = Rollout()
    """How a new revision replaces the one that serves."""
    scheduling: Scheduling = Scheduling()
    """Where and when the pods run."""
    monitoring: Monitoring = Monitoring()
    """Objects of the Prometheus Operator. They are made as soon as its API is in the cluster."""
    network_policy: NetworkPolicy = NetworkPolicy()
    """Who may connect. The operator always may, and the pods of one model among themselves. Outwards the pods may ask DNS and, with
    hf://, download by HTTPS."""
    pod_template: PodTemplate = PodTemplate()
    """The way out for what this API has no field for."""
    suspend: bool = False
    """The operator changes nothing about this model while this is true: no new revision, no repair, no deletion. It goes on
    reporting. To free the GPUs set replicas to 0."""

    rules = (*refuse.SPEC, *STRATEGY, *CANARY, *SLOS, *adapterrules.SPEC)


class ModelDeployment(ApiModel):
    """A language model behind an OpenAI-compatible Service.

    The operator runs its engine, watches that it really answers, and moves traffic only to what does.
    """

    metadata: ObjectMeta
    spec: ModelDeploymentSpec
    """What should be served, and how."""
    status: ModelDeploymentStatus = ModelDeploymentStatus()
    """What the operator sees and did."""

    rules = (*refuse.MODEL_DEPLOYMENT, STANDBY_IS_ITSELF, adapterrules.ADAPTER_IS_NAME)

    @property
    def served_name(self) -> str:
        """The name by which clients ask for the model."""
        return self.spec.model.served_name or self.metadata.name
