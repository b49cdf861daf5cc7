"""Why no revision is made of a spec that the API server let through: what only the neighbours or the engine's version can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.domain.serving import flags
from allod.domain.serving.finding import Finding
from allod.domain.serving.standby import routed

if TYPE_CHECKING:
    from collections.abc import Callable

    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.serving.seen import Defaults, Neighbour, Seen


def name_taken(seen: Seen) -> Finding | None:
    """An older ModelDeployment of the namespace serves one of our names: clients could not tell which of the two answers."""
    mine = (seen.model.metadata.creation_timestamp, seen.model.metadata.name)
    ours = served_names(seen.model)
    standbys = {standby_name(seen.model), routed(seen)}
    for other in sorted(seen.neighbours, key=_age):
        if other.name in standbys or mine[1] in (other.standby, other.traffic):
            continue  # a standby lists the names of its primary: that is how clients notice nothing
        taken = sorted(ours & other.served_names)
        if taken and _age(other) < mine:
            return Finding(
                "NameTaken",
                f"{other.name} is older and already serves {', '.join(taken)}: give this model another model.servedName or other aliases",
            )
    return None


def flag_unknown(seen: Seen) -> Finding | None:
    """The engine's version does not know a flag."""
    return unknown_flag(seen.model, seen.defaults)


def unknown_flag(model: ModelDeployment, defaults: Defaults) -> Finding | None:
    """The same for a model that no cluster has seen yet."""
    wrong = flags.unknown(model.spec, defaults)
    return Finding("UnknownFlag", "; ".join(wrong)) if wrong else None


REFUSALS: tuple[Callable[[Seen], Finding | None], ...] = (name_taken, flag_unknown)


def refusal(seen: Seen) -> Finding | None:
    """Say why no revision may be made. None: nothing speaks against it."""
    return next((found for check in REFUSALS if (found := check(seen))), None)


def served_names(model: ModelDeployment) -> frozenset[str]:
    """By which clients may ask for it."""
    return frozenset({model.served_name, *model.spec.model.aliases})


def standby_name(model: ModelDeployment) -> str | None:
    """Of the ModelDeployment that answers for it."""
    return model.spec.standby.model_deployment_ref.name if model.spec.standby else None


def _age(neighbour: Neighbour) -> tuple[str, str]:
    return neighbour.created, neighbour.name
