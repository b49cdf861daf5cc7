"""What is told when not everything may be done: the API server, or the owner of a name, said no.

What runs goes on, and one sentence says what a person must change. Where traffic could not be moved, nothing may say that it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from allod.domain.conditions import Condition, stamped
from allod.domain.serving.crossroads import RETURNED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from pydantic import ValidationError

    from allod.domain.manifest import Manifest, Ref
    from allod.domain.plan import Event

OF_TRAFFIC = ("traffic", "activeRevision", "selector", "canary", "returned", "drilled")
OF_ROUTE = ("weights", "weighedAt")
OF_STANDBY = ("lastActivation", "drill", "lastDrill")
"""Fields of the status, and below `standby`, that tell where traffic is and how it came there."""
WEIGHED = frozenset({"CanaryStep", "CanaryPaused", "CanaryStandsIn"})
"""Steps of the history that are done by a write of the HTTPRoute."""
MOVED = frozenset({"TrafficMoved", "RolledBack", "FailedOver", "HandedOff", "HandedBack", RETURNED})
TRIED = frozenset({"DrillStarted", "DrillPassed", "DrillFailed", "DrillInterrupted"})
"""By a write of the Service."""


@dataclass(frozen=True, slots=True)
class Denial:
    """The first thing that was refused."""

    reason: str
    message: str
    """A sentence."""
    service: bool = False
    """The stable Service could not be written: traffic is where it was."""
    route: bool = False
    """The HTTPRoute could not be written: its weights are what they were."""

    @property
    def undone(self) -> frozenset[str]:
        """Steps that were decided and not done."""
        return MOVED | TRIED | WEIGHED if self.service else WEIGHED if self.route else frozenset()


def denied(model: Manifest, reason: str, message: str, refused: Collection[Ref]) -> Denial:
    """What was refused of a model's plan."""
    service = any(each.kind == "Service" and each.name == model["metadata"]["name"] for each in refused)
    return Denial(reason, message, service, any(each.kind == "HTTPRoute" for each in refused))


def unreadable(problem: ValidationError) -> Denial:
    """The object cannot be understood: what is wrong with it, where, and why."""
    errors = problem.errors(include_url=False, include_context=False, include_input=False)
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"]) or "the object"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    stored = "It was stored under another CRD: apply the CRDs of this release, then the object."
    return Denial("InvalidSpec", f"{where}: {first['msg']}{more}. {stored}")


def told(model: Manifest, denial: Denial, now: datetime, decided: Manifest | None = None) -> Manifest:
    """The decided status, with Degraded and Progressing saying what was refused. None: nothing could be decided, so the status as it is.

    Ready stays True where it is: a revision that serves goes on serving.
    """
    before: Manifest = model.get("status") or {}
    status = before if decided is None else _done(before, decided, denial)
    generation = model["metadata"].get("generation", 0)
    kept = {each["type"]: each for each in status.get("conditions") or ()}
    reason, message = denial.reason, denial.message
    answers = [Condition("Progressing", "False", reason, message), Condition("Degraded", "True", reason, message)]
    if "Ready" not in kept or (decided is not None and kept["Ready"]["status"] != "True"):
        answers.insert(0, Condition("Ready", "False", reason, message))
    said = {each["type"]: each for each in stamped(answers, before.get("conditions") or (), generation, now)}
    return {**status, "observedGeneration": generation, "conditions": [*(kept | said).values()]}


def events(denial: Denial, decided: Iterable[Event]) -> tuple[Event, ...]:
    """Those of what was done."""
    undone = denial.undone | ({"Ready"} if denial.service else set())
    return tuple(each for each in decided if each.reason not in undone)


def _done(before: Manifest, decided: Manifest, denial: Denial) -> Manifest:
    """The decided status without what was not done."""
    was, is_now = before.get("traffic") or {}, decided.get("traffic") or {}
    if was == is_now or not denial.undone:
        return decided
    told = before.get("history") or ()
    history = [step for step in decided.get("history") or () if step["action"] not in denial.undone or step in told]
    if denial.service:
        return _unmoved(before, decided, denial) | ({"history": history} if history else {})
    weights = {name: was[name] for name in OF_ROUTE if name in was}
    traffic = {name: value for name, value in is_now.items() if name not in OF_ROUTE} | weights
    status = {name: value for name, value in decided.items() if name != "canary"} | {"traffic": traffic, "history": history}
    return {name: value for name, value in status.items() if value != []} | ({"canary": before["canary"]} if "canary" in before else {})


def _unmoved(before: Manifest, decided: Manifest, denial: Denial) -> Manifest:
    status = {name: value for name, value in decided.items() if name not in (*OF_TRAFFIC, "history")}
    status |= {name: before[name] for name in OF_TRAFFIC if name in before}
    if "standby" in decided:
        standby = {name: value for name, value in decided["standby"].items() if name not in OF_STANDBY}
        status["standby"] = standby | {name: value for name, value in (before.get("standby") or {}).items() if name in OF_STANDBY}
    return status | {"conditions": _answers(before, decided, denial)}


def _answers(before: Manifest, decided: Manifest, denial: Denial) -> list[dict[str, Any]]:
    """FailedOver as it was. Ready is True only while those serve whom the Service still names."""
    was = {each["type"]: each for each in before.get("conditions") or ()}
    kept = {each["type"]: each for each in decided.get("conditions") or () if each["type"] != "FailedOver"}
    kept |= {"FailedOver": was["FailedOver"]} if "FailedOver" in was else {}
    if not _served(before.get("traffic") or {}, decided) and "Ready" in kept:
        kept["Ready"] = kept["Ready"] | {"status": "False", "reason": denial.reason, "message": denial.message}
    return list(kept.values())


def _served(traffic: Mapping[str, Any], decided: Manifest) -> bool:
    if traffic.get("target") == "Standby":
        return bool((decided.get("standby") or {}).get("ready"))
    return any(each["name"] == traffic.get("name") and each.get("readyReplicas") for each in decided.get("revisions") or ())
