"""LoRA adapters: what the pods of a revision have room for, and which adapters each revision is told to load.

Pods cannot get a volume, nor vLLM a higher rank, while they run. So both belong to the revision: its room. Which adapters are in the
room does not: they stand in a ConfigMap that the keeper in the pods (images/engine/allod_adapters.py) follows.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from allod.domain.names import child

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from allod.api.adapter import Adapter

RANKS = (16, 32, 64, 128, 256, 320, 512)
"""What vLLM 0.32 takes as --max-lora-rank. It takes 1 and 8 too; 16 is its default and costs little more."""
SLOTS = 4
"""Adapters that one batch may mix. With vLLM's own default, 1, requests for two adapters wait for each other."""
FOLDER = "/adapters"
"""Where volumes with adapters stand in the engine's container."""
KEPT = "adapters"
"""Of the snapshot: the room in place of the list."""
KEY_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Room:
    """What the pods of a revision have for adapters."""

    rank: int
    """The highest that the engine reserves memory for."""
    volumes: tuple[str, ...]
    """As `AdapterUri.volume`, sorted."""

    def document(self) -> dict[str, Any]:
        """For the snapshot."""
        return {"maxRank": self.rank, "volumes": list(self.volumes)}

    def holds(self, adapter: Adapter) -> bool:
        """Whether it can be loaded without another revision."""
        return adapter.rank <= self.rank and adapter.uri.volume in self.volumes

    def covers(self, other: Room | None) -> bool:
        """Whether everything that has room there has room here."""
        return other is None or (other.rank <= self.rank and set(other.volumes) <= set(self.volumes))


@dataclass(frozen=True, slots=True)
class Order:
    """One adapter that a keeper is to load."""

    name: str
    version: str
    """Of where it is and what it may be: changes with uri and rank."""
    path: str
    """In the engine's container."""
    rank: int

    def document(self) -> dict[str, Any]:
        """For the keeper."""
        return {"name": self.name, "version": self.version, "path": self.path, "rank": self.rank}


def room(adapters: Iterable[Adapter]) -> Room | None:
    """The least room that holds them. None: there are none, and the engine knows nothing of adapters."""
    listed = tuple(adapters)
    if not listed:
        return None
    most = max(adapter.rank for adapter in listed)
    return Room(next(rank for rank in RANKS if rank >= most), tuple(sorted({adapter.uri.volume for adapter in listed})))


def remembered_room(snapshot: Mapping[str, Any]) -> Room | None:
    """The room of a revision that there is."""
    kept = snapshot.get(KEPT)
    return Room(kept["maxRank"], tuple(kept["volumes"])) if kept else None


def orders(adapters: Iterable[Adapter], within: Room) -> tuple[Order, ...]:
    """What pods with this room are to load, by name."""
    held = sorted((adapter for adapter in adapters if within.holds(adapter)), key=lambda adapter: adapter.name)
    return tuple(Order(each.name, version(each), f"{mount_path(each.uri.volume)}/{each.uri.path}", each.rank) for each in held)


def version(adapter: Adapter) -> str:
    """Changes when the adapter has to be loaded anew."""
    return _key(f"{adapter.uri} {adapter.rank}")


def text(listed: Iterable[Order]) -> str:
    """The file that a keeper follows."""
    return json.dumps({"adapters": [order.document() for order in listed]}, sort_keys=True)


def text_key(listed: Iterable[Order]) -> str:
    """Of that file, short: another one is another file."""
    return _key(text(listed))


def volume_name(volume: str) -> str:
    """In the pod."""
    return f"adapters-{_key(volume)}"


def mount_path(volume: str) -> str:
    """In the engine's container: the same in every revision that mounts it."""
    return f"{FOLDER}/{_key(volume)}"


def configmap_name(model: str, revision: str) -> str:
    """Of the file, one for each revision with room."""
    return f"{child(model, revision)}-adapters"


def _key(of: str) -> str:
    return hashlib.sha256(of.encode()).hexdigest()[:KEY_LENGTH]
