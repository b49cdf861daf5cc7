"""Kubernetes' own types as far as a ModelDeployment carries them: handed on to pods and policies unchanged, by `document()`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from allod.api.base import ApiModel, LabelMap, Name, Text, Token
from allod.api.markers import AtomicMap, Cel, ListMap, OpenObject, Shape
from allod.api.modeldeploymentrules import POD_LABELS, POD_SPEC

Key = Annotated[str, Field(min_length=1, max_length=317)]
"""A qualified name: an optional DNS prefix, a slash, and up to 63 characters."""
Words = Annotated[tuple[Annotated[str, Field(max_length=253)], ...], Field(max_length=64)]


class LocalObjectReference(ApiModel):
    """Another object of the same namespace, by name."""

    name: Name
    """Name of the object."""


class KeySelector(ApiModel):
    """One key of a Secret or ConfigMap of the same namespace."""

    name: Name
    """Name of the Secret or ConfigMap."""
    key: Name
    """The key in its data."""
    optional: bool | None = None
    """Whether the pod may start although the object or the key is absent. Without it: it may not."""


class FieldSelector(ApiModel):
    """A field of the pod itself."""

    field_path: Name
    """Such as metadata.name or status.podIP."""
    api_version: Token | None = None
    """Version of the schema in which the path is written. Without it: v1."""


class ResourceFieldSelector(ApiModel):
    """A resource limit or request of the container."""

    resource: Name
    """Such as limits.memory."""
    container_name: Token | None = None
    """Without it: the container that the variable belongs to."""
    divisor: Token | None = None
    """Unit in which the number is given, such as 1Mi. Without it: 1."""


class EnvVarSource(ApiModel):
    """Where a variable's value comes from: exactly one of the fields."""

    secret_key_ref: KeySelector | None = None
    """A key of a Secret: the way for tokens and passwords."""
    config_map_key_ref: KeySelector | None = None
    """A key of a ConfigMap."""
    field_ref: FieldSelector | None = None
    """A field of the pod."""
    resource_field_ref: ResourceFieldSelector | None = None
    """A resource of the container."""

    rules = (
        Cel(
            "env-one-source",
            "(has(self.secretKeyRef) ? 1 : 0) + (has(self.configMapKeyRef) ? 1 : 0) + (has(self.fieldRef) ? 1 : 0)"
            " + (has(self.resourceFieldRef) ? 1 : 0) == 1",
            "valueFrom of a variable in engine.env has exactly one of secretKeyRef, configMapKeyRef, fieldRef and resourceFieldRef",
        ),
    )


class EnvVar(ApiModel):
    """One environment variable, as in a pod."""

    name: Name
    """Name of the variable."""
    value: Annotated[str, Field(max_length=4096)] | None = None
    """Its value. Never a secret: those come by valueFrom.secretKeyRef."""
    value_from: EnvVarSource | None = None
    """Where the value comes from instead."""

    rules = (
        Cel(
            "env-one-value",
            "!(has(self.value) && has(self.valueFrom))",
            "a variable of engine.env has either value or valueFrom: remove one of the two",
        ),
    )


class Toleration(ApiModel):
    """A taint of nodes that the model's pods accept, as in a pod."""

    key: Key | None = None
    """Key of the taint. Without it, with operator Exists: every taint."""
    operator: Literal["Exists", "Equal"] | None = None
    """How key and value are compared. Without it: Equal."""
    value: Token | None = None
    """Value of the taint, for operator Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Which effect of the taint is tolerated. Without it: every effect."""
    toleration_seconds: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = None
    """How long a NoExecute taint is tolerated, in seconds. Without it: for ever."""


class Requirement(ApiModel):
    """One comparison of a label."""

    key: Key
    """The label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the label is compared with the values."""
    values: Words = ()
    """Values for In and NotIn."""


class NodeRequirement(ApiModel):
    """One comparison of a node's label or field."""

    key: Key
    """The label or field."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    """How it is compared with the values."""
    values: Words = ()
    """Values to compare with; one integer for Gt and Lt."""


class LabelSelector(ApiModel):
    """Objects chosen by their labels: all requirements must hold; an empty selector chooses every object."""

    match_labels: Annotated[LabelMap, AtomicMap()] = Field(default_factory=dict)
    """Labels with exactly these values."""
    match_expressions: Annotated[tuple[Requirement, ...], Field(max_length=32)] = ()
    """Further requirements."""


class NodeSelectorTerm(ApiModel):
    """Nodes that meet all of these requirements."""

    match_expressions: Annotated[tuple[NodeRequirement, ...], Field(max_length=32)] = ()
    """Requirements on labels of the node."""
    match_fields: Annotated[tuple[NodeRequirement, ...], Field(max_length=8)] = ()
    """Requirements on fields of the node; Kubernetes knows metadata.name."""


class NodeSelector(ApiModel):
    """Nodes that meet one of the terms."""

    node_selector_terms: Annotated[tuple[NodeSelectorTerm, ...], Field(min_length=1, max_length=16)]
    """The terms; a node has to meet one of them."""


class PreferredNodes(ApiModel):
    """Nodes that are liked by some degree."""

    weight: Annotated[int, Field(ge=1, le=100)]
    """How much, 1 to 100."""
    preference: NodeSelectorTerm
    """Which nodes."""


class NodeAffinity(ApiModel):
    """Which nodes the pods may or like to run on."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    """Nodes that the pods may run on."""
    preferred_during_scheduling_ignored_during_execution: Annotated[tuple[PreferredNodes, ...], Field(max_length=16)] = ()
    """Nodes that the pods like to run on."""


class PodAffinityTerm(ApiModel):
    """A set of pods, and the kind of place that is shared with or kept apart from them."""

    topology_key: Key
    """Label of nodes that tells one place from another, such as kubernetes.io/hostname or topology.kubernetes.io/zone."""
    label_selector: LabelSelector | None = None
    """Which pods."""
    namespaces: Words = ()
    """In which namespaces they are looked for. Without it and namespaceSelector: the model's own."""
    namespace_selector: LabelSelector | None = None
    """The same by labels of namespaces."""
    match_label_keys: Words = ()
    """Labels whose value has to be that of the pod which is placed."""
    mismatch_label_keys: Words = ()
    """Labels whose value must not be that of the pod which is placed."""


class PreferredPods(ApiModel):
    """A place near to or far from some pods that is liked by some degree."""

    weight: Annotated[int, Field(ge=1, le=100)]
    """How much, 1 to 100."""
    pod_affinity_term: PodAffinityTerm
    """Which pods and which kind of place."""


class PodAffinity(ApiModel):
    """Near which pods the model's pods have to or like to run."""

    required_during_scheduling_ignored_during_execution: Annotated[tuple[PodAffinityTerm, ...], Field(max_length=16)] = ()
    """Pods that must be near."""
    preferred_during_scheduling_ignored_during_execution: Annotated[tuple[PreferredPods, ...], Field(max_length=16)] = ()
    """Pods that had better be near."""


class PodAntiAffinity(ApiModel):
    """Away from which pods the model's pods have to or like to run."""

    required_during_scheduling_ignored_during_execution: Annotated[tuple[PodAffinityTerm, ...], Field(max_length=16)] = ()
    """Pods that must not be near."""
    preferred_during_scheduling_ignored_during_execution: Annotated[tuple[PreferredPods, ...], Field(max_length=16)] = ()
    """Pods that had better not be near."""


class Affinity(ApiModel):
    """Where the model's pods may and like to run, as in a pod."""

    node_affinity: NodeAffinity | None = None
    """By nodes."""
    pod_affinity: PodAffinity | None = None
    """Near other pods."""
    pod_anti_affinity: PodAntiAffinity | None = None
    """Away from other pods."""


class IpBlock(ApiModel):
    """Clients by address."""

    cidr: Token
    """A range such as 10.0.0.0/8."""
    except_: Annotated[Words, Field(alias="except")] = ()
    """Ranges inside it that are not meant."""


class NetworkPolicyPeer(ApiModel):
    """Who may connect, as in a NetworkPolicy: pods by labels, namespaces by labels, both together, or a range of addresses."""

    pod_selector: LabelSelector | None = None
    """Pods with these labels, in the model's namespace or in those that namespaceSelector chooses."""
    namespace_selector: LabelSelector | None = None
    """Pods of namespaces with these labels; an empty selector chooses every namespace."""
    ip_block: IpBlock | None = None
    """Clients by address; alone, without the other two."""

    rules = (
        Cel(
            "peer-one-kind",
            "has(self.ipBlock) ? !has(self.podSelector) && !has(self.namespaceSelector)"
            " : has(self.podSelector) || has(self.namespaceSelector)",
            "a peer of networkPolicy.allowFrom has either ipBlock, or podSelector and namespaceSelector, one or both",
        ),
    )


class NamedPart(ApiModel):
    """A part of a pod template that is told by its name; its other fields are Kubernetes' own."""

    name: Token
    """Merged with the part of that name, else added."""


class ContainerPart(NamedPart):
    """A container of the pod template, by its name; its other fields are Kubernetes' own."""

    image: Text | None = None
    """Image of an added container; the engine's own is engine.image."""
    command: Annotated[tuple[Text, ...], Field(max_length=64)] = ()
    """Command of an added container."""
    args: Annotated[tuple[Text, ...], Field(max_length=256)] = ()
    """Arguments of an added container; the engine's are engine.args and engine.extraArgs."""
    env: Annotated[tuple[Annotated[NamedPart, OpenObject()], ...], Field(max_length=64), ListMap()] = ()
    """Environment variables of an added container; the engine's are engine.env."""


class PodPart(ApiModel):
    """Any part of a pod's spec. Lists of named things are merged by name, everything else replaces what the operator renders."""

    containers: Annotated[tuple[Annotated[ContainerPart, OpenObject()], ...], Field(max_length=16), ListMap()] = ()
    """Changes to the container `engine`, and further containers."""
    init_containers: Annotated[tuple[Annotated[ContainerPart, OpenObject()], ...], Field(max_length=16), ListMap()] = ()
    """Changes to the init container `inspect`, and further init containers."""
    volumes: Annotated[tuple[Annotated[NamedPart, OpenObject()], ...], Field(max_length=64), ListMap()] = ()
    """Further volumes."""
    share_process_namespace: bool | None = None
    """Refused, as is hostPID: a dead engine would leave its workers behind."""
    host_pid: Annotated[bool | None, Field(alias="hostPID")] = None
    """Refused, as is shareProcessNamespace."""

    rules = POD_SPEC


class TemplateMetadata(ApiModel):
    """Labels and annotations of the pods."""

    labels: Annotated[LabelMap, POD_LABELS] = Field(default_factory=dict)
    """Further labels of the pods."""
    annotations: Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=64)] = Field(default_factory=dict)
    """Annotations of the pods."""


class PodTemplate(ApiModel):
    """The way out for what this API has no field for: merged last into the pods that the operator renders."""

    metadata: TemplateMetadata = TemplateMetadata()
    """Labels and annotations of the pods."""
    spec: Annotated[dict[str, Any], Shape(PodPart)] = Field(default_factory=dict)
    """Any field of a pod's spec, merged as `kubectl patch` does: lists of named things by their names."""
