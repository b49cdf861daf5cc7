"""What the operator reports about a ModelDeployment: everything that `kubectl describe` shows below the spec."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from allod.api.base import ApiModel, Text, Time
from allod.api.markers import ListMap

# No least lengths here: a status that the API server refuses would leave people without any.
Name = Annotated[str, Field(max_length=253)]
Token = Annotated[str, Field(max_length=63)]
Count = Annotated[int, Field(ge=0, le=2_147_483_647)]
BigCount = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""As large as a JSON number can be everywhere."""
Sentence = Annotated[str, Field(max_length=32_768)]


class Share(ApiModel):
    """What one revision, or the standby, gets of the requests that come through the Gateway."""

    name: Name
    """Hash of the revision, or name of the standby."""
    weight: Annotated[int, Field(ge=0, le=100)]
    """Percent."""


class Traffic(ApiModel):
    """Where the Service of the model sends requests, and the Gateway."""

    target: Literal["Revision", "Standby"]
    """What kind of thing serves: a revision of this model, or its standby."""
    name: Name
    """Which one: the hash of the revision, or the name of the standby."""
    reason: Literal["Failover", "Handoff", "Drill"] | None = None
    """Why the standby serves: the model could not answer; a rollout needs its GPUs, or it wakes; or the standby is tried."""
    since: Time | None = None
    """When traffic came here, RFC 3339."""
    weights: Annotated[tuple[Share, ...], Field(max_length=8), ListMap()] = ()
    """What the HTTPRoute sends where, with rollout.canary.parentRef. Together 100."""
    weighed_at: Time | None = None
    """Since when it sends so, RFC 3339."""


class CanaryStatus(ApiModel):
    """How far the canary is."""

    revision: Token
    """Hash of the revision that is on trial."""
    step: Count
    """Which of rollout.canary.steps, from 1. 0: its pods are not ready yet, or the Gateway does not send yet."""
    steps: Count
    """How many there are."""
    since: Time | None = None
    """When this step began, RFC 3339. It begins anew when the pods were not ready meanwhile."""
    compared: Count | None = None
    """Requests of the revision on trial that had been compared when this step began: minRequests counts from there."""


class Activation(ApiModel):
    """One time that the standby was needed."""

    time: Time
    """When traffic went there, RFC 3339."""
    detected_seconds: Token | None = None
    """From the first sign until traffic was moved, such as "1.3". For a cold standby its start is part of it."""


class DrillRun(ApiModel):
    """A drill that runs."""

    started_at: Time
    """When it was asked for, RFC 3339."""
    cause: Sentence
    """By whom: the annotation, or the schedule."""
    standby: Name
    """Which ModelDeployment is tried."""
    activation_seconds: Token | None = None
    """From startedAt until traffic was moved, such as "0.1". For a cold standby its start is part of it."""


class DrillResult(ApiModel):
    """How a drill ended."""

    time: Time
    """When, RFC 3339."""
    standby: Name
    """Which ModelDeployment was tried."""
    result: Literal["Passed", "Failed", "Interrupted"]
    """Failed: the standby did not get ready, or lost its last pod. Interrupted: no fault of the standby ended it early."""
    message: Sentence
    """The same in a sentence."""
    activation_seconds: Token | None = None
    """From the wish until traffic was moved, such as "0.1". For a cold standby its start is part of it."""


class StandbyStatus(ApiModel):
    """Whether the standby could take over now."""

    name: Name
    """Which ModelDeployment it is."""
    ready: bool
    """Whether a ready pod of it serves this model's name, one of several at least: the condition StandbyReady wants all of them."""
    needed: bool | None = None
    """This model cannot answer, or a rollout waits for the standby: a cold one is to be started."""
    last_activation: Activation | None = None
    """The last time that it took over."""
    drill: DrillRun | None = None
    """The drill that runs now."""
    last_drill: DrillResult | None = None
    """The last one that ended."""


class Rolledback(ApiModel):
    """A wish of a person to run an older revision, kept until the spec changes."""

    to: Token
    """Hash of the revision."""
    spec: Token | None = None
    """Hash of the spec that it stands in for, as in observedSpec."""


class RevisionStatus(ApiModel):
    """One set of pods: what the spec asked for at one time."""

    name: Token
    """Hash of everything that its pods need: the label allod.dev/revision on them."""
    state: Literal["Pending", "Starting", "Ready", "Good", "Unavailable", "Failed", "Retiring"]
    """Pending: waits for its pods to get a node. Starting: the engine loads. Ready: serves, and is baking. Good: has served for
    rollout.bake and may be gone back to. Unavailable: did serve and does not now. Failed: given up until the spec changes.
    Retiring: on its way out."""
    reason: Token | None = None
    """Why it is in this state, in one CamelCase word."""
    message: Sentence | None = None
    """The same in a sentence, with the numbers."""
    replicas: Count | None = None
    """Pods that there are."""
    ready_replicas: Count | None = None
    """Pods that serve."""
    started_at: Time | None = None
    """Since when it has had pods, RFC 3339: rollout.progressDeadline counts from here."""
    ready_since: Time | None = None
    """When all its pods were ready for the first time, RFC 3339."""
    troubled_since: Time | None = None
    """Since when something has been wrong with it within its bake time, RFC 3339."""
    good_since: Time | None = None
    """Since when it has been good, RFC 3339."""
    digest: Annotated[str, Field(max_length=128)] | None = None
    """Fingerprint of the weights that it began with, as in fit.digest. When a later pod reads others, Degraded says WeightsChanged."""


class AdapterStatus(ApiModel):
    """One LoRA adapter in the pods that serve."""

    name: Name
    """Which one: spec.adapters[].name."""
    state: Literal["Loaded", "Pending", "Refused"]
    """Loaded: every pod that serves answers with it. Pending: not yet. Refused: it does not fit, and the message says why."""
    loaded_pods: Count | None = None
    """Pods that answer with it."""
    message: Sentence | None = None
    """Its state in a sentence."""


class Fit(ApiModel):
    """Whether the model fits into the memory that is reserved for it, and what is left for requests."""

    weights: Token | None = None
    """Memory of the weights on one GPU, such as 28.1Gi."""
    kv_cache_tokens: BigCount | None = None
    """Tokens of all running requests together that have room in the KV cache."""
    max_concurrency: Token | None = None
    """Requests of the full maxModelLen that have room at the same time, such as "25.1"."""
    source: Literal["Estimate", "Engine"] | None = None
    """Estimate: reckoned from the model's files before the start. Engine: the engine's own figures."""
    parameters: BigCount | None = None
    """Parameters of the model, counted from its files."""
    digest: Annotated[str, Field(max_length=128)] | None = None
    """Fingerprint of the weight files: their names, sizes, headers and some blocks of each. Another training has another one. That no
    byte differs only a pinned source proves: oci://...@sha256, or hf:// with a commit."""


class Step(ApiModel):
    """One thing that the operator did."""

    time: Time
    """When, RFC 3339."""
    action: Token
    """What, in one CamelCase word."""
    from_: Annotated[Name | None, Field(alias="from")] = None
    """What served or was wanted before."""
    to: Name | None = None
    """What serves or is wanted after it."""
    cause: Sentence | None = None
    """Why, in a sentence with the numbers that decided."""


class Condition(ApiModel):
    """One question about the object, answered."""

    type: Annotated[str, Field(max_length=316)]
    """The question: Ready, Progressing, Degraded, Stalled, ModelAvailable, GPUsAvailable, FitsMemory, StandbyReady,
    FailedOver, RouteAccepted, AdaptersReady, Measured."""
    status: Literal["True", "False", "Unknown"]
    """The answer."""
    reason: Annotated[str, Field(max_length=1024)]
    """Why, in one CamelCase word."""
    message: Sentence
    """Why, in a sentence."""
    last_transition_time: Time
    """When the answer last changed, RFC 3339."""
    observed_generation: BigCount | None = None
    """Generation of the spec that the answer is about."""


class ModelDeploymentStatus(ApiModel):
    """What the operator sees and did. Written by the operator alone."""

    observed_generation: BigCount | None = None
    """Generation of the spec that this status is about."""
    observed_spec: Token | None = None
    """Hash of the spec that was followed last, without replicas and suspend, which are turned all the time. When it changes, a revision
    that was given up gets another try, and a rollback by hand ends."""
    url: Annotated[str, Field(max_length=512)] | None = None
    """Base URL for OpenAI clients inside the cluster."""
    served_name: Annotated[str, Field(max_length=253)] | None = None
    """The name that clients put into the field model of their requests."""
    active_revision: Token | None = None
    """Hash of the revision that traffic goes to."""
    desired_revision: Token | None = None
    """Hash of the revision that the spec asks for. It differs from activeRevision while a new one starts, or when it failed."""
    traffic: Traffic | None = None
    """Where requests go now."""
    canary: CanaryStatus | None = None
    """The new revision that is on trial with a part of the traffic."""
    standby: StandbyStatus | None = None
    """Who could answer instead."""
    rolled_back: Rolledback | None = None
    """By hand, with the annotation allod.dev/rollback-to."""
    retried: Token | None = None
    """The value of the annotation allod.dev/retry-revision that was followed last: one wish, one try."""
    returned: Token | None = None
    """The same for allod.dev/return-traffic."""
    drilled: Annotated[str, Field(max_length=1024)] | None = None
    """The same for allod.dev/drill."""
    revisions: Annotated[tuple[RevisionStatus, ...], Field(max_length=32), ListMap()] = ()
    """Every revision that has pods or is remembered, newest first."""
    replicas: Count | None = None
    """Pods of the active revision."""
    ready_replicas: Count | None = None
    """Pods of the active revision that serve."""
    ready: Text | None = None
    """Pods that serve of those that the spec asks for, as kubectl get shows it: 1/2."""
    selector: Annotated[str, Field(max_length=512)] | None = None
    """Labels of the active revision's pods, for the scale subresource and autoscalers."""
    gpus: Count | None = None
    """GPUs that its pods hold now, those of every revision."""
    adapters: Annotated[tuple[AdapterStatus, ...], Field(max_length=32), ListMap()] = ()
    """LoRA adapters that the spec asks for, as the pods of the active revision have them."""
    fit: Fit | None = None
    """Memory: what was reckoned, or what the engine says."""
    history: Annotated[tuple[Step, ...], Field(max_length=32)] = ()
    """What the operator did, newest first."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16), ListMap("type")] = ()
    """Ready says whether the model serves now; the others say why."""
