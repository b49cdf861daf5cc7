"""Which of the models of a namespace keeps a name that several claim: clients could not tell two of one name apart.

The order is total and the same for whoever looks. Nobody who serves is moved aside by a newcomer:

1. who has served under the name,
2. who was started under it and has not served yet,
3. who only asks for it;

among equals the older one, and within one second, which is as fine as a creationTimestamp is, the one whose name comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from allod.domain.serving.health.finding import Finding
from allod.domain.serving.trial import served

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Stage(IntEnum):
    """How far a model came under one name. The lower one is ahead."""

    SERVED = 0
    STARTED = 1
    ASKS = 2


VERBS = {Stage.SERVED: "already serves", Stage.STARTED: "was already started as", Stage.ASKS: "claims"}


@dataclass(frozen=True, slots=True)
class Held:
    """The names of the revision that traffic belongs to."""

    names: frozenset[str] = frozenset()
    served: bool = False
    """It has served."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one ModelDeployment says of names."""

    name: str
    """Its own."""
    created: str
    """creationTimestamp, RFC 3339 with whole seconds; empty in a file."""
    asks: frozenset[str]
    """`servedName` (or the object's name) and all aliases, of its spec."""
    held: Held = Held()
    standby: str | None = None
    """The ModelDeployment that answers for it when it cannot."""
    traffic: str | None = None
    """The one that answers for it now. Not `standby` when the spec was edited meanwhile."""

    @property
    def names(self) -> frozenset[str]:
        """All that it stands in the way of."""
        return self.asks | self.held.names

    @property
    def leans_on(self) -> tuple[str | None, ...]:
        """Who answers for it, or could."""
        return self.standby, self.traffic

    def stage(self, name: str) -> Stage:
        """How far it came under one of its names."""
        if name not in self.held.names:
            return Stage.ASKS
        return Stage.SERVED if self.held.served else Stage.STARTED

    def rank(self, name: str) -> tuple[Stage, str, str]:
        """The lowest keeps the name."""
        return self.stage(name), self.created, self.name


def standby_of(spec: Mapping[str, Any]) -> str | None:
    """Name of the ModelDeployment that answers for it, by the document of its spec."""
    name: str | None = ((spec.get("standby") or {}).get("modelDeploymentRef") or {}).get("name")
    return name


def served_names(name: str, spec: Mapping[str, Any]) -> frozenset[str]:
    """The names under which the ModelDeployment `name` answers, by its spec or by the snapshot of one of its revisions."""
    model = spec.get("model") or {}
    return frozenset({model.get("servedName") or name, *(model.get("aliases") or ())})


def held(name: str, status: Mapping[str, Any], snapshot: Mapping[str, Any]) -> Held:
    """What the ModelDeployment `name` holds, by its last status. `snapshot`: of its `activeRevision`, where it has one."""
    home = status.get("activeRevision")
    if home is None:
        return Held()
    told: Mapping[str, Any] = next((each for each in status.get("revisions") or () if each.get("name") == home), {})
    return Held(served_names(name, snapshot), served(told))


def taken(mine: Claim, names: frozenset[str], others: Iterable[Claim]) -> Finding | None:
    """Who keeps one of these names of ours. A standby lists the names of its primary: that is how clients notice nothing."""
    rivals = [other for other in others if other.name not in mine.leans_on and mine.name not in other.leans_on]
    ahead = [(other.rank(name), name, other) for other in rivals for name in names & other.names if other.rank(name) < mine.rank(name)]
    if not ahead:
        return None
    _, first, other = min(ahead, key=lambda each: each[:2])
    stage = other.stage(first)
    lost = sorted(name for _, name, rival in ahead if rival is other and rival.stage(name) == stage)
    says = f"{other.name} {VERBS[stage]} {', '.join(lost)}{_because(mine, other) if stage == mine.stage(first) else ''}"
    # A standby whose model was deleted, and applied again without it, answers to the name that it lists.
    could = (mine.stage(first), stage) == (Stage.ASKS, Stage.SERVED) and first in other.asks and other.asks - names
    stands_in = f", or name {other.name} in standby if it is to answer for this one" if could else ""
    return Finding("NameTaken", f"{says}: give this model another model.servedName or other aliases{stands_in}")


def _because(mine: Claim, other: Claim) -> str:
    if other.created != mine.created:
        return " too and is older"
    if not mine.created:
        return " too"
    return " too, is of the same second, and comes first by name"
