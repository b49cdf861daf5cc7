"""What a pod says about itself, without the ways in which Kubernetes says it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from allod.contracts.hubrefusal import hub_refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from allod.domain.manifest import Manifest

ENGINE = "engine"
"""The container that serves."""
INSPECT = "inspect"
"""The init container that reads the model before the engine starts."""
GATHER = "gather"
"""The init container in which the pods of a group wait for each other."""

LOG_PREFIX = re.compile(r"^\(\w+ pid=\d+\) |^(ERROR|WARNING|INFO) \d\d-\d\d \d\d:\d\d:\d\d \[[^]]*\] ")
"""vLLM 0.32 begins every line of a worker with the first, every line of its log with the second."""
TELLING = re.compile(r"(\b\w*(Error|Exception)\b|\berror\b): ", re.IGNORECASE)
LONGEST_WORDS = 300
RESTARTS = 3
"""Of an engine before it counts as unable to start: a minute and a half with kubelet's growing pauses."""


@dataclass(frozen=True, slots=True)
class Container:
    """One container of one pod."""

    name: str
    image: str
    restarts: int
    ready: bool
    waiting: str
    """Kubelet's reason, such as ImagePullBackOff; empty when it does not wait."""
    waiting_message: str
    ended: Mapping[str, Any]
    """How it ended last: exitCode, reason, message, startedAt, finishedAt; empty when it never did."""
    running: bool
    since: str | None
    """Start of its present life, RFC 3339."""
    started: bool
    """Its startup probe succeeded: it has served in this life."""

    @property
    def ran_seconds(self) -> float:
        """How long its last life was."""
        return seconds_between(self.ended.get("startedAt"), self.ended.get("finishedAt"))

    @property
    def last_words(self) -> str:
        """The line of its last output that says most about its end."""
        return last_words(self.ended.get("message", ""))


def name(pod: Manifest) -> str:
    """Of the pod."""
    return str(pod["metadata"]["name"])


def is_leaving(pod: Manifest) -> bool:
    """Whether it was told to end, or has ended: it counts for nothing any more."""
    return bool(pod["metadata"].get("deletionTimestamp")) or pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def is_ready(pod: Manifest) -> bool:
    """Whether Services send it requests."""
    return not is_leaving(pod) and condition(pod, "Ready").get("status") == "True"


def is_lost(pod: Manifest) -> bool:
    """Whether it served and does not now. One that starts for the first time is not lost."""
    engine = container(pod, ENGINE)
    return engine is not None and not engine.ready and (engine.started or engine.restarts > 0)


def has_served(pod: Manifest) -> bool:
    """Whether its engine was ready in this life. One that has only just begun to answer is not ready yet, and never was."""
    engine, now = container(pod, ENGINE), condition(pod, "Ready")
    if engine is None or not engine.started:
        return False
    return now.get("status") == "True" or seconds_between(engine.since, now.get("lastTransitionTime")) > 0


def is_placed(pod: Manifest) -> bool:
    """Whether it has a node."""
    return bool(pod.get("spec", {}).get("nodeName"))


def condition(pod: Manifest, kind: str) -> Mapping[str, Any]:
    """A condition of the pod; empty while the pod does not have it."""
    conditions = pod.get("status", {}).get("conditions") or []
    return next((found for found in conditions if found.get("type") == kind), {})


def containers(pod: Manifest) -> Iterator[Container]:
    """Init containers first: what stops one of them stops everything after it."""
    spec, status = pod.get("spec", {}), pod.get("status", {})
    images = {part["name"]: part.get("image", "") for kind in ("initContainers", "containers") for part in spec.get(kind) or []}
    for kind in ("initContainerStatuses", "containerStatuses"):
        for found in status.get(kind) or []:
            yield _container(found, images.get(found["name"], found.get("image", "")))


def container(pod: Manifest, wanted: str) -> Container | None:
    """One container by its name. None: kubelet has not said anything about it."""
    return next((found for found in containers(pod) if found.name == wanted), None)


def _container(found: Mapping[str, Any], image: str) -> Container:
    state, last = found.get("state") or {}, found.get("lastState") or {}
    waiting = state.get("waiting") or {}
    return Container(
        name=found["name"],
        image=image,
        restarts=found.get("restartCount", 0),
        ready=bool(found.get("ready")),
        waiting=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        ended=state.get("terminated") or last.get("terminated") or {},
        running="running" in state,
        since=(state.get("running") or {}).get("startedAt"),
        started=bool(found.get("started")),
    )


def reserved(pod: Manifest) -> dict[str, int]:
    """Devices that its engine reserves: `{"nvidia.com/gpu": 2}`. Kubernetes writes the domain of extended resources only."""
    parts = pod.get("spec", {}).get("containers") or []
    limits = next((part.get("resources", {}).get("limits") or {} for part in parts if part["name"] == ENGINE), {})
    return {resource: int(amount) for resource, amount in limits.items() if "/" in resource and str(amount).isdigit()}


def startup_limit(pod: Manifest) -> float | None:
    """Seconds that kubelet gives the engine to start, read from the probe that was really rendered. None: it has no such probe."""
    parts = pod.get("spec", {}).get("containers") or []
    probe = next((part.get("startupProbe") for part in parts if part["name"] == ENGINE), None)
    return float(probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)) if probe else None


def seconds_between(start: str | None, end: str | None) -> float:
    """0 when one of them is not known."""
    if not start or not end:
        return 0.0
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def last_words(text: str) -> str:
    """Kubelet keeps the end of a failed container's log as its message: the last line that names an error, else the last line."""
    if refusal := hub_refusal(text):
        return refusal.message
    said = lines(text)
    telling = [line for line in said if TELLING.search(line)]
    words = (telling or said or [""])[-1]
    return words if len(words) <= LONGEST_WORDS else f"{words[: LONGEST_WORDS - 3]}..."


def lines(text: str) -> list[str]:
    """What was printed, without what vLLM puts before each line, and without empty ones."""
    return [bare for line in text.splitlines() if (bare := _bare(line))]


def _bare(line: str) -> str:
    while shorter := LOG_PREFIX.match(line):
        line = line[shorter.end() :]
    return line.strip()
