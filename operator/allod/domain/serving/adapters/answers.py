"""What becomes of the adapters that a spec asks for: states, one condition, events, and pods that have to be told.

The keeper in each pod says what it has loaded or refused; here it is only compared. Nothing is remembered but the last status.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from allod.domain.conditions import Condition
from allod.domain.names import ADAPTERS
from allod.domain.plan import Event
from allod.domain.quantity import count
from allod.domain.serving.adapters.adapters import orders, remembered_room, text_key, version
from allod.domain.serving.health.evidence import serves

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from allod.api.adapter import Adapter
    from allod.domain.manifest import Manifest
    from allod.domain.serving.health.beat import AdapterSaid
    from allod.domain.serving.outcome import Outcome
    from allod.domain.serving.seen import Seen
    from allod.domain.serving.survey import Survey

    Said = Mapping[str, AdapterSaid]

State = Literal["Loaded", "Pending", "Refused"]


@dataclass(frozen=True, slots=True)
class Answer:
    """How one adapter does."""

    name: str
    state: State
    message: str
    loaded: int = 0
    """Pods that answer with it."""

    def document(self) -> dict[str, Any]:
        """One item of `status.adapters`."""
        return {"name": self.name, "state": self.state, "loadedPods": self.loaded, "message": self.message}


def answers(outcome: Outcome) -> tuple[Answer, ...]:
    """All of them, in the spec's order."""
    return tuple(_answer(outcome, adapter) for adapter in outcome.seen.model.spec.adapters)


def conditions(outcome: Outcome) -> tuple[Condition, ...]:
    """Do all adapters answer? Not asked of a model without any."""
    found = answers(outcome)
    if not found:
        return ()
    loaded = sum(each.state == "Loaded" for each in found)
    told = f"{loaded} of {count(len(found), 'adapter')} loaded"
    for state, reason in (("Refused", "AdapterRefused"), ("Pending", "AdapterPending")):
        if first := next((each for each in found if each.state == state), None):
            return (Condition("AdaptersReady", "False", reason, f"{told}; {first.name}: {first.message}"),)
    return (Condition("AdaptersReady", "True", "AllLoaded", told),)


def events(outcome: Outcome) -> Iterator[Event]:
    """What turned since the last status."""
    before = {each["name"]: each for each in outcome.seen.status.get("adapters") or ()}
    found = answers(outcome)
    for each in found:
        old = before.get(each.name, {})
        if each.state == "Loaded" and old.get("state") != "Loaded":
            yield Event("AdapterLoaded", f"{each.name}: {each.message}")
        if each.state == "Refused" and (old.get("state"), old.get("message")) != ("Refused", each.message):
            yield Event("AdapterRefused", f"{each.name}: {each.message}", "Warning")
    for name in before.keys() - {each.name for each in found}:
        yield Event("AdapterRemoved", f"{name} is no longer asked for: requests for it get 404")


def behind(seen: Seen, found: Survey) -> tuple[Manifest, ...]:
    """Pods whose keeper follows another list than the present one, and whose kubelet was not told to fetch that.

    One that has said nothing yet is let alone: it starts, and reads the list as it is then.
    """
    return tuple(pod for facts in found.facts.values() for pod in facts.pods if _is_behind(seen, facts.revision.snapshot, pod))


def _is_behind(seen: Seen, snapshot: Mapping[str, Any], pod: Manifest) -> bool:
    room, said = remembered_room(snapshot), _said(seen, pod)
    if room is None or said is None:
        return False
    listed = orders(seen.model.spec.adapters, room)
    knows = {name: one.version for name, one in said.items()} == {order.name: order.version for order in listed}
    return not knows and (pod["metadata"].get("annotations") or {}).get(ADAPTERS) != text_key(listed)


def _said(seen: Seen, pod: Manifest) -> Said | None:
    beat = seen.beats.get(pod["metadata"].get("uid", ""))
    return beat.adapters if beat else None


def _answer(outcome: Outcome, adapter: Adapter) -> Answer:
    active = outcome.active
    if active is None:
        return Answer(adapter.name, "Pending", "no revision serves yet")
    room = remembered_room(active.revision.snapshot)
    if room is None or not room.holds(adapter):
        return Answer(adapter.name, "Pending", _waits(outcome, adapter))
    said = [_said(outcome.seen, pod) for pod in active.leaders if serves(outcome.seen, pod)]
    if None in said and (known := _known(outcome, adapter.name)):
        return known
    mine = [one for each in said if each and (one := each.get(adapter.name)) and one.version == version(adapter)]
    loaded = sum(not one.refused for one in mine)
    if refused := next((one.refused for one in mine if one.refused), ""):
        return Answer(adapter.name, "Refused", refused, loaded)
    if not said:
        return Answer(adapter.name, "Pending", f"no pod of revision {active.revision.hash} serves")
    on = f"loaded on {loaded} of {count(len(said), 'pod')}"
    return Answer(adapter.name, "Loaded" if loaded == len(said) else "Pending", on, loaded)


def _waits(outcome: Outcome, adapter: Adapter) -> str:
    """The pods that serve cannot take it, whatever the keeper does."""
    needs = f"rank {adapter.rank} and the volume {adapter.uri.volume}"
    if outcome.step.home == outcome.found.desired.hash:
        return f"revision {outcome.step.home} has no room for {needs}, and no other is made"
    return f"waits for revision {outcome.found.desired.hash}: the pods of {outcome.step.home} have no room for {needs}"


def _known(outcome: Outcome, name: str) -> Answer | None:
    """What the last status says, while a pod is not heard (yet) and the spec is the same: an operator that starts knows nothing."""
    if outcome.seen.status.get("observedGeneration") != outcome.seen.model.metadata.generation:
        return None
    listed = outcome.seen.status.get("adapters") or ()
    found = next((each for each in listed if each["name"] == name), None)
    return Answer(name, found["state"], found.get("message", ""), found.get("loadedPods", 0)) if found else None
