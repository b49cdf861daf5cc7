"""What can be wrong with a revision's pods: one small function for each, and their order is the policy.

Each looks at what Kubernetes says about pods that should run. The first finding is what a person reads, so causes come before what
follows from them: a refused pod, no place for it, no image, no model, an engine that cannot start.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from allod.contracts.inspection import inspection
from allod.domain.names import REPLICA_GROUP
from allod.domain.quantity import count, duration
from allod.domain.serving import pod as pods
from allod.domain.serving.adapters.adapters import remembered_room
from allod.domain.serving.engine.download import not_downloaded, past_hub
from allod.domain.serving.health.finding import Finding
from allod.domain.serving.pod import ENGINE, INSPECT, Container

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from allod.domain.manifest import Manifest

NO_IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "RegistryUnavailable", "ImageInspectError", "InvalidImageName"}
)
NO_CONTAINER = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
UNKNOWN_FLAG = re.compile(r"(?:unrecognized arguments|invalid argument): (.+)")
"""argparse's words in vLLM, llama.cpp's own."""
NO_ROOM = re.compile(
    r"larger than the available KV cache memory|No available memory for the cache blocks|CUDA out of memory|Free memory on device \S+ \(",
    re.IGNORECASE,
)
"""VLLM's words: for the KV cache, for any cache, for the weights, and where another process holds the GPU's memory."""
ABOVE = "See root cause above"
"""The last line of vLLM's API server when its engine core could not start: its traceback fills all that kubelet keeps (measured: 0.32)."""


ON_NODE = "file://"
MOUNTED = timedelta(seconds=30)
"""A folder that is there is mounted within a second."""
PREPARED = timedelta(minutes=5)
"""For volumes, network and images, once a pod has its node. A pull that fails says so by itself; one of many GB may take longer."""


@dataclass(frozen=True, slots=True)
class RevisionSeen:
    """The pods of one revision, and what Kubernetes says of those that it could not make."""

    now: datetime
    """UTC with its zone."""
    wanted: int
    """Pods that its StatefulSets ask for."""
    pods: tuple[Manifest, ...]
    """By name, without those that are leaving."""
    good: bool = False
    """All its pods have been ready at one time: it can start, whatever happens to it now."""
    events: tuple[Manifest, ...] = ()
    """Warnings about its StatefulSet."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """What its pods were made of, as the user wrote it: pods are kept without their env and args."""

    restarted: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Groups that do not serve: why each was started anew within the last hour, newest first."""

    def containers(self) -> Iterator[tuple[Manifest, Container]]:
        """Every container of every pod."""
        return ((pod, container) for pod in self.pods for container in pods.containers(pod))

    def engines(self) -> Iterator[tuple[Manifest, Container]]:
        """The engine of every pod that is not ready."""
        return ((pod, container) for pod, container in self.containers() if container.name == ENGINE and not container.ready)


def pod_refused(seen: RevisionSeen) -> Finding | None:
    """A quota, a policy or an admission webhook does not let the pod be made."""
    if len(seen.pods) >= seen.wanted:
        return None
    refusals = [event for event in seen.events if event.get("reason") == "FailedCreate"]
    if not refusals:
        return None
    words = _words(max(refusals, key=_when))
    return Finding("PodRefused", f"Kubernetes refuses the pod: {words}{_instead(seen.spec, words)}")


def _instead(spec: Mapping[str, Any], words: str) -> str:
    """What else a person could do, where it is the kind of model.uri that is refused."""
    if "hostPath" not in words or not str((spec.get("model") or {}).get("uri")).startswith("file://"):
        return ""
    return "; file:// is a folder of a node (hostPath), which this namespace does not admit: use pvc:// or oci://"


def no_gpus(seen: RevisionSeen) -> Finding | None:
    """The scheduler finds no node with enough free GPUs."""
    for pod, says in _unplaced(seen):
        for resource, amount in pods.reserved(pod).items():
            if f"Insufficient {resource}" in says:
                needs = f"{pods.name(pod)} needs {amount} {resource} on one node"
                waits = _waiting(seen, pod)
                return Finding("InsufficientGPUs", f"{needs}, and none has them free{waits}; the scheduler says: {says}")
    return None


def no_claim(seen: RevisionSeen) -> Finding | None:
    """The PersistentVolumeClaim of the model, or of an adapter, does not exist."""
    for _, says in _unplaced(seen):
        if found := re.search(r'persistentvolumeclaim "([^"]+)" not found', says):
            of = "adapters[].uri" if _is_of_adapters(seen.spec, found[1]) else "model.uri"
            missing = f"the PersistentVolumeClaim {found[1]} of {of} does not exist in this namespace"
            return Finding("ClaimNotFound", f"{missing}: create it, or correct {of}")
    return None


def _is_of_adapters(spec: Mapping[str, Any], claim: str) -> bool:
    room, uri = remembered_room(spec), f"{(spec.get('model') or {}).get('uri')}/"
    return room is not None and f"pvc://{claim}" in room.volumes and not uri.startswith(f"pvc://{claim}/")


def no_place(seen: RevisionSeen) -> Finding | None:
    """The scheduler finds no node for another reason."""
    for pod, says in _unplaced(seen):
        return Finding("Unschedulable", f"no node takes {pods.name(pod)}; the scheduler says: {says}")
    return None


def no_image(seen: RevisionSeen) -> Finding | None:
    """A registry does not give the image of the engine, of the model or of the inspection."""
    for pod, container in seen.containers():
        if container.waiting not in NO_IMAGE:
            continue
        quoted = re.search(r'image "?([^\s":]+[^\s"]*[^\s":])"?', container.waiting_message)
        image = quoted[1] if quoted else container.image
        models = {volume["image"].get("reference") for volume in pod["spec"].get("volumes") or [] if volume.get("image")}
        words = _registry_words(container.waiting_message) or container.waiting
        what, reason = ("the model's image", "ModelImagePull") if image in models else ("the image", "ImagePull")
        return Finding(reason, f"{what} {image} cannot be pulled: {words}")
    return None


def model_refused(seen: RevisionSeen) -> Finding | None:
    """The inspection read the model and says that it cannot be served like this."""
    for _, container in seen.containers():
        found = inspection(container.ended.get("message", "")) if container.name == INSPECT else None
        if found and found.refuses:
            return Finding(found.reason, found.message, "Always")
    return None


def no_container(seen: RevisionSeen) -> Finding | None:
    """Kubelet cannot make a container: a Secret or a key is missing, a command does not exist."""
    for pod, container in seen.containers():
        if container.waiting in NO_CONTAINER:
            return Finding("ContainerNotStarted", f"{pods.name(pod)}: kubelet cannot start {container.name}: {container.waiting_message}")
    return None


def no_folder(seen: RevisionSeen) -> Finding | None:
    """The folder of model.uri may not be on the node. An image may be on its way just as well, so it is a question and gives nothing up."""
    for pod in seen.pods:
        moment, node = mounts_until(seen.spec, pod), pod["spec"].get("nodeName")
        if moment and seen.now >= moment:
            uri = seen.spec["model"]["uri"]
            waits = f"{pods.name(pod)} has had {node} for more than {duration(MOUNTED.total_seconds())} and no container of it runs"
            asked = f"is the folder of {uri} there on {node}? kubectl describe pod {pods.name(pod)} says what it waits for"
            return Finding("FolderNotMounted", f"{waits}: {asked}")
    return None


def mounts_until(spec: Mapping[str, Any], pod: Manifest) -> datetime | None:
    """When the folder of a node counts as missing. None: the model is no folder of a node, or it was mounted."""
    since = prepared_since(pod) if str((spec.get("model") or {}).get("uri")).startswith(ON_NODE) else None
    return since + MOUNTED if since else None


def not_prepared(seen: RevisionSeen) -> Finding | None:
    """Kubelet has had the pod for long and starts no container of it: a volume cannot be mounted, or a large image is still on its way."""
    for pod in seen.pods:
        since = prepared_since(pod)
        if since and seen.now - since >= PREPARED:
            waits = f"{pods.name(pod)} has its node for more than {duration(PREPARED.total_seconds())} and no container runs"
            return Finding("NotPrepared", f"{waits}: kubectl describe pod {pods.name(pod)} says which volume or image it waits for")
    return None


def unknown_flag(seen: RevisionSeen) -> Finding | None:
    """The engine does not know a flag that the spec gives it."""
    for _, container in seen.engines():
        if found := UNKNOWN_FLAG.search(container.ended.get("message", "")):
            flags = found[1].strip()
            return Finding("UnknownFlag", f"the engine does not know {flags}: correct engine.args or engine.extraArgs", "Always")
    return None


def out_of_memory(seen: RevisionSeen) -> Finding | None:
    """The kernel ended a container that took more than its limit, again and again."""
    for pod, container in seen.containers():
        if container.ended.get("reason") == "OOMKilled" and container.restarts >= pods.RESTARTS and not container.ready:
            limit = "more memory than resources.memory"
            times = count(container.restarts, "time")
            return Finding("OutOfMemory", f"{pods.name(pod)}: {container.name} took {limit} and was killed {times}", "WhenAnotherServes")
    return None


def crash_loop(seen: RevisionSeen) -> Finding | None:
    """The engine, or a container beside it, ends again and again."""
    for pod, container in seen.containers():
        if container.restarts < pods.RESTARTS or container.ready or _slow(container, pod, good=seen.good):
            continue
        if (past := past_hub(container, seen.spec)) and seen.now >= past:
            continue  # it had to wait for its hub, and downloads now
        words = container.last_words or f"exit code {container.ended.get('exitCode', 'unknown')}, without a word"
        reason = "DoesNotFit" if NO_ROOM.search(container.ended.get("message", "")) else "CrashLoop"
        ended = f"{pods.name(pod)}: {container.name} ended {count(container.restarts, 'time')}"
        return Finding(reason, f"{ended}, last with: {words}{_where(pod, container)}", "WhenAnotherServes")
    return None


def _where(pod: Manifest, container: Container) -> str:
    """How to read what stood before the last words."""
    if ABOVE not in container.ended.get("message", ""):
        return ""
    return f" The cause stands further up: kubectl logs --previous {pods.name(pod)} --container {container.name} | grep Error:"


def group_fails(seen: RevisionSeen) -> Finding | None:
    """Ranks of a group end again and again; each time all its pods were replaced, so no pod tells of it."""
    for name, causes in seen.restarted.items():
        if len(causes) >= pods.RESTARTS:
            reason = "DoesNotFit" if NO_ROOM.search(causes[0]) else "CrashLoop"
            return Finding(reason, f"{name} was started anew {count(len(causes), 'time')} within an hour; {causes[0]}", "WhenAnotherServes")
    return None


def startup_too_slow(seen: RevisionSeen) -> Finding | None:
    """Kubelet ended the engine because it did not serve within health.startupTimeout."""
    for pod, container in seen.engines():
        if _slow(container, pod, good=seen.good):
            limit = duration(pods.startup_limit(pod) or 0)
            message = f"{pods.name(pod)}: the engine did not serve within health.startupTimeout ({limit}) and was restarted"
            return Finding("StartupTimeout", message, "WhenAnotherServes")
    return None


Check: TypeAlias = Callable[[RevisionSeen], Finding | None]

FINDINGS: tuple[Check, ...] = (
    pod_refused,
    no_gpus,
    no_claim,
    no_place,
    no_image,
    model_refused,
    no_container,
    no_folder,
    not_prepared,
    unknown_flag,
    not_downloaded,
    out_of_memory,
    crash_loop,
    group_fails,
    startup_too_slow,
)


def first_finding(seen: RevisionSeen) -> Finding | None:
    """Say what is wrong with the revision; None: nothing that anyone could tell."""
    return next((found for check in FINDINGS if (found := check(seen))), None)


def prepared_since(pod: Manifest) -> datetime | None:
    """Since when kubelet prepares a pod of which nothing has run yet. None: it has no node, or something did run."""
    if any(container.running or container.ended or container.ready for container in pods.containers(pod)):
        return None
    scheduled = pods.condition(pod, "PodScheduled")
    since = scheduled.get("lastTransitionTime")
    return datetime.fromisoformat(since) if scheduled.get("status") == "True" and since else None


def _unplaced(seen: RevisionSeen) -> Iterator[tuple[Manifest, str]]:
    for pod in seen.pods:
        scheduled = pods.condition(pod, "PodScheduled")
        if scheduled.get("status") == "False":
            yield pod, str(scheduled.get("message") or scheduled.get("reason") or "nothing").rstrip(".")


def _waiting(seen: RevisionSeen, pod: Manifest) -> str:
    """How many pods of its group have their GPUs already, and hold them for nothing."""
    group = (pod["metadata"].get("labels") or {}).get(REPLICA_GROUP)
    if group is None:
        return ""
    mine = [other for other in seen.pods if other["metadata"]["labels"].get(REPLICA_GROUP) == group]
    return f" ({sum(pods.is_placed(other) for other in mine)} of the {count(len(mine), 'pod')} of its group have theirs and wait)"


def _slow(container: Container, pod: Manifest, *, good: bool) -> bool:
    limit = pods.startup_limit(pod)
    return not good and container.name == ENGINE and container.restarts > 0 and limit is not None and container.ran_seconds >= limit


def _registry_words(message: str) -> str:
    """Kubelet quotes the runtime, which quotes the registry: the innermost part is what helps."""
    words = message.rpartition("ErrImagePull: ")[2]
    found = re.search(r"failed to resolve reference \"[^\"]+\": (.+)|failed to resolve image: (.+)", words)
    return (next(group for group in found.groups() if group) if found else words).strip()


def _words(event: Manifest) -> str:
    return str(event.get("note") or event.get("message") or "no reason given")


def _when(event: Manifest) -> str:
    series: Any = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp", "")
    )
