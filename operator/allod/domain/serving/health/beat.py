"""What the operator's own heartbeat connection says of one pod."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

State: TypeAlias = Literal["Unknown", "Starting", "Serving", "Faulty", "Draining", "Silent", "Unreachable", "Gone"]
"""What was observed, never what follows from it.

    Unknown      not looked long enough, or what answers is not ours to read, or we could not look: says nothing about the pod
    Starting     it says that it starts, or it has never served in this life and does not answer
    Serving      it says that it is well
    Faulty       it says that it is not: the watchdog pushed a fault, or the health page is an error
    Draining     it said that it was told to stop; that it then closes its port is no news
    Silent       connected, and no word in time: a hung server, a stopped process, or a silent node
    Unreachable  the network gave no answer to a connection: a silent node, or a hung server that accepts no more
    Gone         closed or refused twice in a row: no process listens there
"""
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True, slots=True)
class AdapterSaid:
    """What the keeper in a pod made of one adapter that it was told to load."""

    version: str
    """As it was told, which may be older than what is wanted now."""
    refused: str
    """Why it does not answer with this version, a sentence. Empty: it does."""


@dataclass(frozen=True, slots=True)
class Beat:
    """One pod, as the operator itself hears it. It is replaced when the state or the message changes, not at each heartbeat."""

    state: State
    since: datetime
    """UTC: when the state began."""
    message: str
    """One sentence for a person, with the numbers that were true when it was written: it does not change while the state lasts."""
    heard: bool = True
    """Whether this life of the pod was ever heard on this connection. Without that a silence may be ours: a policy or a route that
    keeps us out keeps nobody else out."""
    adapters: Mapping[str, AdapterSaid] | None = None
    """By name. None: it has said nothing of adapters (yet)."""
