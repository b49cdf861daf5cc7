"""What a reconcile knows and what it may ask: the seam between reconciles and the process around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from allod.api.canary import Comparison
    from allod.api.slo import Slo
    from allod.domain.manifest import Manifest, Ref
    from allod.domain.serving.canary.contest import Duel
    from allod.domain.serving.health.beat import Beat
    from allod.domain.serving.health.measurement import Measurement
    from allod.domain.serving.health.windows import Window
    from allod.domain.serving.seen import EngineFigures


class World(Protocol):
    """The cluster as it is known now, without asking anybody. What we wrote is in it at once."""

    def get(self, target: Ref) -> Manifest | None:
        """One object, or None."""

    def owned(self, uid: str) -> tuple[Manifest, ...]:
        """Objects that name this uid as an owner, and Events about it."""

    def naming(self, namespace: str, names: Iterable[str]) -> tuple[Manifest, ...]:
        """ModelDeployments of a namespace that have to do with one of these names.

        They ask for it, a remembered revision of theirs has it, or who answers for them is called so.
        """

    def pods(self, namespace: str, model: str) -> tuple[Manifest, ...]:
        """Those that say they belong to this model, whoever owns them."""

    def refs(self, api_version: str, kind: str) -> tuple[Ref, ...]:
        """Identities of all objects of a kind."""

    def wrote(self, answer: Manifest) -> None:
        """Take note of an object as the API server answered to our write, or to our look at it."""

    def deleted(self, gone: Manifest) -> None:
        """Take note that we deleted this object."""


class Figures(Protocol):
    """What engines say of themselves, as far as they were asked."""

    def of(self, pods: tuple[Manifest, ...]) -> Mapping[str, EngineFigures]:
        """By revision hash, of ready pods that have answered. Those that were never asked will be, in the background."""


class Ears(Protocol):
    """What is heard of pods on the operator's own connections."""

    def of(self, seen: Iterable[Manifest]) -> Mapping[str, Beat]:
        """By uid, of pods whose engine runs now. Those that are new are listened to from now on."""

    def blind(self) -> str:
        """Why silence says nothing at present: most pods fell silent at once. Empty when it does."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two revisions of one model, to be compared."""

    namespace: str
    model: str
    new: str
    """Hash of the one on trial."""
    old: str
    rules: tuple[Comparison, ...]
    """Empty: nothing is compared."""
    least: int
    """Requests that count as enough."""


class Windows(Protocol):
    """What engines counted over the windows of SLOs, and how two revisions compare."""

    def of(
        self, pods: tuple[Manifest, ...], slos: tuple[Slo, ...], rules: tuple[Comparison, ...] = ()
    ) -> Mapping[str, Mapping[str, Window]]:
        """By revision hash, then by the names of the SLOs. Serving pods that were never asked will be, in the background."""

    def duel(self, pair: Pair) -> Duel | None:
        """How the revision on trial stands. Pods are asked once `of` was told of the rules."""

    def measurement(self, pods: tuple[Manifest, ...]) -> Measurement | None:
        """What is known of these pods where somebody else reads their counters. None: we read them, or nobody asked for it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one reconcile."""

    changed: bool = False
    """Something was written: look again at once, for the next step may follow from it."""
    requeue_after: timedelta | None = None
    """Look again then, even if nothing happens. None: the usual resync is enough."""
