"""Where the Service points: at home, or at the standby because nobody is at home.

    home ---- no pod of the home serves, the standby does ----> standby (Failover) ---- home ready for holdFor, or by hand ----> home
      |                                                                  |  ^
      | the rollout needs the home's GPUs, or the home wakes             |  | it loses its pods, and the home has some: home at once
      +------------------------------------------------> standby (Handoff) ---- home ready ----> home
      |                                                             |
      | it is tried, while the home is well                         |
      +------------------------------------------------> standby (Drill) ---- time is over ----> home

Nothing here is a clock: how long something has been so is read from the pods, whose conditions carry their times.

Never: to a standby without a ready pod; to an empty home from a standby that serves, unless `replicas` is 0; back and forth (after three
returns within an hour traffic stays on the standby until the hour is over or a person says otherwise); more models than the blast radius
allows, for then the operator's own eyes are the likelier cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from allod.domain.quantity import duration
from allod.domain.serving.health.finding import Finding

MOST_RETURNS = 3
RETURNS_WINDOW = timedelta(hours=1)
"""A model that fails over a fourth time within it has not recovered: coming back would only lose more requests."""
MOST_MOVED = 10
MOVED_WINDOW = timedelta(minutes=10)
"""Blast radius of one operator: a node holds few models, so more at a time point to a network, or to us."""

AGAIN = timedelta(minutes=1)
"""How often it is looked whether one of these windows is over, of which no event tells."""

BY_HAND = "annotation allod.dev/return-traffic with the active revision brings it back"

Target = Literal["Home", "Standby"]
Why = Literal["Failover", "Handoff", "Drill"]


@dataclass(frozen=True, slots=True)
class Crossroads:
    """What decides where traffic goes."""

    at: Target
    why: Why | None
    """Why the standby serves, when it does. What a lost status no longer tells counts as a failover."""
    handoff: bool
    """Traffic has to be on the standby for the rollout's sake, or stay there until the home is whole."""
    rolling: bool
    """Another revision than the home is wanted."""
    waking: bool
    """The home had no replicas and gets them back: nothing is lost, and the standby answers until it is up."""
    drill: bool
    """The standby is to be tried now."""
    home_ready: int
    """Pods at home that serve, and go on doing so after this step."""
    home_wanted: int
    home_proven: bool
    """The home has served: only what did can be lost."""
    home_silent_for: timedelta
    """How long no pod has served."""
    home_ready_for: timedelta
    """How long all pods at home have been ready without a break; 0 when one is not."""
    standby_ready: bool
    after: timedelta
    hold: timedelta
    automatic: bool
    asked_back: bool
    """A person wants traffic back now."""
    returns_lately: int
    moved_lately: int
    """Other models that went to their standbys a short while ago."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where traffic goes next."""

    to: Target
    why: Why | None = None
    waits: Finding | None = None
    """Why traffic does not go where it should be; a sentence for a person."""
    look_again: timedelta | None = None
    """When the answer may change though nothing happens."""


def next_route(at: Crossroads) -> Route:
    """Choose. At rest it chooses what is."""
    return _from_home(at) if at.at == "Home" else _from_standby(at)


def _from_home(at: Crossroads) -> Route:
    if (at.handoff or (at.waking and at.home_wanted)) and at.standby_ready:
        return Route("Standby", "Handoff")
    if at.drill and at.standby_ready and at.home_ready:
        return Route("Standby", "Drill")
    lost = at.home_proven and at.home_wanted and not at.home_ready and not at.waking
    if not lost or not at.standby_ready:
        return Route("Home")
    if at.moved_lately >= MOST_MOVED:
        many = f"{at.moved_lately} models went to their standbys within {duration(MOVED_WINDOW.total_seconds())}"
        waits = Finding("BlastRadius", f"{many}: this one waits until they are over; look at the network and the nodes first")
        return Route("Home", waits=waits, look_again=AGAIN)
    if at.home_silent_for < at.after:
        return Route("Home", look_again=at.after - at.home_silent_for)
    return Route("Standby", "Failover")


def _from_standby(at: Crossroads) -> Route:
    stays = Route("Standby", at.why)
    if at.why == "Drill":
        return _from_drill(at)
    if at.home_wanted and not at.home_ready:
        return stays
    # A model that was put to sleep needs nobody to stand in for it.
    if not at.home_wanted or not at.standby_ready or at.asked_back:
        return Route("Home")
    if at.home_ready < at.home_wanted:
        return stays
    if at.why == "Handoff":
        return stays if at.handoff else Route("Home")
    return _recovered(at)


def _from_drill(at: Crossroads) -> Route:
    if at.handoff and at.rolling:
        return Route("Standby", "Handoff")
    if at.home_wanted and not at.home_ready:
        return Route("Standby", "Failover")  # what a drill began is in earnest now
    over = not at.drill or not at.home_wanted or not at.standby_ready or at.asked_back
    return Route("Home") if over else Route("Standby", "Drill")


def _recovered(at: Crossroads) -> Route:
    """All of the home is ready again after a failure: whether it may be trusted."""
    if not at.automatic:
        return Route("Standby", at.why, Finding("WaitsForPerson", f"health.failover.recovery is Manual: {BY_HAND}"))
    if at.returns_lately >= MOST_RETURNS:
        often = f"traffic came back {at.returns_lately} times within {duration(RETURNS_WINDOW.total_seconds())} and was lost again"
        return Route("Standby", at.why, Finding("Flapping", f"{often}: it stays until the hour is over, or {BY_HAND}"), AGAIN)
    if at.home_ready_for < at.hold:
        return Route("Standby", at.why, look_again=at.hold - at.home_ready_for)
    return Route("Home")
