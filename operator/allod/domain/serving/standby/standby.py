"""Who answers while the model cannot: whether that one could, and whether the Service points at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from allod.domain.names import MODEL, REVISION
from allod.domain.serving.groups.group import leads
from allod.domain.serving.health.evidence import serves
from allod.domain.serving.health.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.manifest import Manifest
    from allod.domain.serving.seen import Companion, Seen


@dataclass(frozen=True, slots=True)
class StandbySeen:
    """The standby as the model sees it."""

    name: str
    revision: str | None
    """Hash of the revision that traffic would go to."""
    ready_pods: int
    cold: bool
    """Its spec asks for no pods: it starts when it is needed."""
    problem: Finding | None
    """Why traffic could not go there now."""
    lacks: Finding | None = None
    """Names that it does not know, of several that clients ask for: better than nobody, and no place to which a healthy model goes."""
    grouped: bool = False
    """Its replicas have several pods."""

    @property
    def hopeless(self) -> bool:
        """Only a person can mend what keeps traffic away from it: to start it would hold GPUs for nothing."""
        return hopeless(self.problem)

    @property
    def ready(self) -> bool:
        """Whether it could take over now from a model that is lost."""
        return self.problem is None

    @property
    def imperfect(self) -> Finding | None:
        """Why a model that serves does not go there: everybody should be answered as before."""
        return self.problem or self.lacks


def hopeless(found: Finding | None) -> bool:
    """Whether only a person can mend it."""
    return found is not None and found.reason not in ("StandbyCold", "StandbyNotReady")


def service(seen: Seen) -> Manifest | None:
    """The stable Service."""
    name = seen.model.metadata.name
    return next((child for child in seen.children if child["kind"] == "Service" and child["metadata"]["name"] == name), None)


def routed(seen: Seen) -> str | None:
    """The other model that the stable Service points at; where it was deleted, what the status remembers."""
    found = service(seen)
    if found is None:
        traffic = seen.status.get("traffic") or {}
        return traffic.get("name") if traffic.get("target") == "Standby" else None
    whose = (found["spec"].get("selector") or {}).get(MODEL)
    return whose if whose != seen.model.metadata.name else None


def selected_revision(seen: Seen) -> str | None:
    """Of the pods that the stable Service selects now, whosever they are."""
    return selector(seen).get(REVISION)


def selector(seen: Seen) -> Mapping[str, str]:
    """Of the stable Service as it is; empty while there is none."""
    found = service(seen)
    return (found["spec"].get("selector") or {}) if found else {}


def named(seen: Seen) -> str | None:
    """Who answers when the model cannot: whom the spec names; where it names nobody any more, who has the traffic."""
    wanted = seen.model.spec.standby
    return wanted.model_deployment_ref.name if wanted else routed(seen)


def answering(seen: Seen, name: str) -> int:
    """Pods of another model that serve."""
    there = seen.companions.get(name)
    return sum(serves(seen, pod) for pod in there.pods if leads(pod)) if there else 0


def find(seen: Seen) -> StandbySeen | None:
    """Look at the standby. None: there is to be none."""
    name = named(seen)
    if name is None:
        return None
    there = seen.companions.get(name)
    if there is None:
        problem = f"there is no ModelDeployment {name} in namespace {seen.model.metadata.namespace}: create it, or correct standby"
        return StandbySeen(name, None, 0, cold=False, problem=Finding("StandbyNotFound", problem))
    ready, names = answering(seen, name), _names(seen.model)
    unnamed, unknown = _not_named(seen.model, there), _not_known(seen.model, there)
    bars = _unfit(seen.model, there) or (None if names & there.served_names else unnamed) or _not_serving(name, there, ready)
    if not bars and there.known_names is not None and not names & there.known_names:
        bars = unknown
    return StandbySeen(name, there.revision, ready, cold=not there.replicas, problem=bars, lacks=unnamed or unknown, grouped=there.grouped)


def misfit(model: ModelDeployment, there: Companion) -> Finding | None:
    """What only a person can mend: why `there`, whom the model's spec names, could not answer for it, or not for all of its names."""
    return _unfit(model, there) or _not_named(model, there)


def _unfit(model: ModelDeployment, there: Companion) -> Finding | None:
    name = there.name
    if there.standby == model.metadata.name:
        return Finding("StandbyPointsBack", f"{name} names {model.metadata.name} as its own standby: one of the two has to stand by itself")
    if there.task != model.spec.model.task:
        return Finding("StandbyTask", f"{name} is for the task {there.task} and this model for {model.spec.model.task}")
    return None


def _not_named(model: ModelDeployment, there: Companion) -> Finding | None:
    missing = sorted(_names(model) - there.served_names)
    if not missing:
        return None
    asked = f"clients ask for {', '.join(missing)}, which {there.name} does not serve"
    return Finding("StandbyName", f"{asked}: add it to model.aliases of {there.name}")


def _not_serving(name: str, there: Companion, ready: int) -> Finding | None:
    if there.revision and ready:
        return None
    if there.suspended:
        return Finding("StandbySuspended", f"no pod of {name} is ready, and its spec.suspend is true: nothing would start one")
    if not there.replicas:
        return Finding("StandbyCold", f"{name} has replicas 0 and is started when it is needed")
    return Finding("StandbyNotReady", f"no pod of {name} is ready")


def _not_known(model: ModelDeployment, there: Companion) -> Finding | None:
    """Its spec promises what its pods do not know yet: they answer 404 to every request for such a name."""
    missing = sorted(_names(model) - there.known_names) if there.known_names is not None else []
    if not missing:
        return None
    until = f"until its new revision serves: kubectl get mdl {there.name} says how far it is"
    return Finding("StandbyNotReady", f"the pods of {there.name} that serve do not know {', '.join(missing)} yet, {until}")


def _names(model: ModelDeployment) -> frozenset[str]:
    return frozenset({model.served_name, *model.spec.model.aliases})
