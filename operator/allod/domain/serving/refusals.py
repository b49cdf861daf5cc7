"""Why no revision is made of a spec that the API server let through: what only the neighbours or the engine's version can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.domain.serving.claim import Claim, Held, served_names, standby_of, taken
from allod.domain.serving.engine import flags
from allod.domain.serving.health.finding import Finding
from allod.domain.serving.standby.standby import routed

if TYPE_CHECKING:
    from collections.abc import Callable

    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.serving.revisionfacts import RevisionFacts
    from allod.domain.serving.seen import Defaults, Seen
    from allod.domain.serving.survey import Survey


def name_taken(seen: Seen, found: Survey) -> Finding | None:
    """Another ModelDeployment of the namespace keeps one of the names that are asked for."""
    mine = _claim(seen, found)
    return taken(mine, mine.asks, seen.neighbours)


def flag_unknown(seen: Seen, _found: Survey) -> Finding | None:
    """The engine's version does not know a flag."""
    return unknown_flag(seen.model, seen.defaults)


def unknown_flag(model: ModelDeployment, defaults: Defaults) -> Finding | None:
    """The same for a model that no cluster has seen yet."""
    wrong = flags.unknown(model.spec, defaults)
    return Finding("UnknownFlag", "; ".join(wrong)) if wrong else None


REFUSALS: tuple[Callable[[Seen, Survey], Finding | None], ...] = (name_taken, flag_unknown)


def refusal(seen: Seen, found: Survey) -> Finding | None:
    """Say why no revision may be made. None: nothing speaks against it."""
    return next((refused for check in REFUSALS if (refused := check(seen, found))), None)


def goes_on(found: Survey, refused: Finding) -> bool:
    """Whether a revision that is refused, and runs already, stays as it is: what serves always does."""
    facts = found.facts.get(found.desired.hash)
    if facts is None or not facts.asked:
        return False
    return refused.reason != "NameTaken" or (_served(facts) and found.home == found.desired.hash)


def gives_way(seen: Seen, found: Survey) -> bool:
    """Whether the revision at home has to go, which never served and whose name another model keeps.

    Two may start under one name before either is seen by the other: the one that is behind holds no GPU for a name it will not get.
    """
    home = found.facts.get(found.home or "")
    if home is None or _served(home) or found.on_standby:
        return False
    mine = _claim(seen, found)
    return taken(mine, mine.held.names, seen.neighbours) is not None


def _served(facts: RevisionFacts) -> bool:
    """With one pod of several too: its clients know it by its name."""
    return facts.proven or facts.ready > 0


def _claim(seen: Seen, found: Survey) -> Claim:
    meta, home = seen.model.metadata, found.facts.get(found.home or "")
    holds = Held(served_names(meta.name, home.revision.snapshot), _served(home)) if home else Held()
    asks = served_names(meta.name, found.desired.snapshot)
    return Claim(meta.name, meta.creation_timestamp, asks, holds, standby_of(seen.model.spec.document()), routed(seen))
