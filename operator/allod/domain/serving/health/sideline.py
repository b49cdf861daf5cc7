"""One pod of several that is lost is taken out of every Service at once, by its label: Kubernetes needs up to 50 s for a silent node.

    on ---- our own ears have lost it, and another pod serves ----> off ---- it is heard again for BACK, or nobody else serves ----> on

Never the last one: an empty Service makes clients wait, where a bad one may still answer some. A pod that is made anew is born with `on`.
Traffic between revisions is never moved so: for a second both would serve.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from allod.domain.names import TRAFFIC
from allod.domain.plan import Event
from allod.domain.serving import pod as pods
from allod.domain.serving.health.evidence import lost, serves

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from allod.domain.manifest import Manifest
    from allod.domain.serving.seen import Seen
    from allod.domain.serving.survey import Survey

BACK = timedelta(seconds=5)
"""Heard without a break before it takes traffic again: a pod that comes and goes costs two writes in this time, and no requests."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A pod whose label is to change."""

    pod: Manifest
    to: Literal["on", "off"]
    why: str

    @property
    def patch(self) -> Manifest:
        """Only what changes; with its uid, so that a later pod of the name is not meant."""
        meta = self.pod["metadata"]
        named = {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": named | {"labels": {TRAFFIC: self.to}}}


def turns(seen: Seen, found: Survey, now: datetime) -> tuple[Turn, ...]:
    """What is to change now."""
    return tuple(turn for facts in found.facts.values() for turn in _of(seen, facts.leaders, now))


def due(seen: Seen, found: Survey, now: datetime) -> Iterator[datetime]:
    """When a pod that is out will have been heard for long enough."""
    out = (pod for facts in found.facts.values() for pod in facts.leaders if _label(pod) == "off")
    yield from (back for pod in out if (back := _back_at(seen, pod)) and back > now)


def told(turned: Iterable[Turn]) -> tuple[Event, ...]:
    """What is said of it."""
    return tuple(
        Event("PodSidelined", f"{pods.name(turn.pod)} takes no traffic until it is heard again: {turn.why}", "Warning")
        if turn.to == "off"
        else Event("PodBack", f"{pods.name(turn.pod)} takes traffic again: {turn.why}")
        for turn in turned
    )


def _of(seen: Seen, of_one: Sequence[Manifest], now: datetime) -> Iterator[Turn]:
    able = [pod for pod in of_one if serves(seen, pod)]
    for pod in of_one:
        others = any(other is not pod and _label(other) == "on" for other in able)
        beat, back = lost(seen, pod), _back_at(seen, pod)
        if _label(pod) == "on" and beat and others:
            yield Turn(pod, "off", beat.message)
        elif _label(pod) == "off" and not others:
            yield Turn(pod, "on", "no other pod serves")
        elif _label(pod) == "off" and back and back <= now:
            yield Turn(pod, "on", f"it was heard for {BACK.seconds} s")
        elif _label(pod) == "off" and pod["metadata"].get("uid", "") not in seen.beats:
            yield Turn(pod, "on", "nobody listens to it")  # a new leader that has not heard it yet does


def _back_at(seen: Seen, pod: Manifest) -> datetime | None:
    beat = seen.beats.get(pod["metadata"].get("uid", ""))
    return beat.since + BACK if beat and beat.state == "Serving" else None


def _label(pod: Manifest) -> str:
    """A pod of an image or a spec of somebody else's may have none: then it is left alone."""
    return str(pod["metadata"].get("labels", {}).get(TRAFFIC, ""))
