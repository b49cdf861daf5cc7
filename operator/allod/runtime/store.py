"""What the cluster looks like, fed by watch events, by periodic listings and by the answers to our own writes. Reconciles read only this.

Order is decided by resourceVersion alone: the newest state wins whatever way it came, also where another object has the name by then.
Kubernetes promises that versions of one resource are whole numbers which can be compared, whichever objects they are of (KEP-5504, stable
in 1.35; API servers on etcd have never done otherwise), and an object that is made anew has a higher one than that which it replaces.
So the answer to an own write is visible at once (a reconcile never decides on a state older than what it wrote), the watch event
that repeats it later is no news, and nothing has to be expected or to time out.
"""

from __future__ import annotations

import sys
from math import inf
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from allod.adapters.resources import MODELDEPLOYMENTS
from allod.domain.manifest import Ref, ref
from allod.domain.names import MODEL
from allod.reconcile.claims import names_in

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from allod.adapters.kube import Listing
    from allod.adapters.resources import Resource
    from allod.domain.manifest import Manifest

    Heard = Callable[[Manifest | None, Manifest | None], None]

K = TypeVar("K", bound="Hashable")

UNUSED_OF_PODS = frozenset({"affinity", "tolerations"})
UNUSED_OF_CONTAINERS = frozenset({"args", "command", "env", "envFrom", "volumeMounts"})
"""Half of a pod, and there may be thousands; what was rendered is in the StatefulSet. Values of env are nobody's business besides."""


class Index(Generic[K]):
    """Which objects are found under a key, in the order in which they came."""

    def __init__(self) -> None:
        self._entries: dict[K, dict[Ref, None]] = {}

    def of(self, key: K) -> Iterable[Ref]:
        """Objects under the key."""
        return self._entries.get(key, {})

    def add(self, key: K, target: Ref) -> None:
        """Find this object under the key too."""
        self._entries.setdefault(key, {})[target] = None

    def discard(self, key: K, target: Ref) -> None:
        """Do not find it there any more. An empty entry goes: uids never come back."""
        if (entry := self._entries.get(key)) is not None:
            entry.pop(target, None)
            if not entry:
                del self._entries[key]


class Store:
    """Objects by identity, by owner, by kind, and models by the names that they have to do with. All calls from the event loop's thread."""

    def __init__(self, heard: Heard = lambda _old, _new: None, wrote: Heard = lambda _old, _new: None) -> None:
        """`heard(old, new)` is called on each change; None where there was, or is, no object. `wrote(old, new)` is called on own writes."""
        self._heard, self._wrote = heard, wrote
        self._objects: dict[Ref, Manifest] = {}
        self._owned: Index[str] = Index()
        """By uid of an owner, or of what an Event is about."""
        self._kinds: Index[tuple[str, str]] = Index()
        """By apiVersion and kind."""
        self._names: Index[tuple[str, str]] = Index()
        """By namespace and a name that a model, or a revision of one, has to do with. A namespace may have a thousand models, and each look
        at one asks for its rivals."""
        self._pods: Index[tuple[str, str]] = Index()
        """By namespace and the model that they say they belong to."""
        self._gone: dict[str, float] = {}
        """Those deleted since the last listing began, and up to which version: a late event must not bring them back. A later one does: a
        watch tells it as a deletion too when an object loses the label by which we watch, and it may get it again."""

    def get(self, target: Ref) -> Manifest | None:
        """One object, or None."""
        return self._objects.get(target)

    def owned(self, uid: str) -> tuple[Manifest, ...]:
        """Objects that name this uid as an owner, and Events about it."""
        return tuple(self._objects[each] for each in self._owned.of(uid))

    def naming(self, namespace: str, names: Iterable[str]) -> tuple[Manifest, ...]:
        """ModelDeployments of a namespace that have to do with one of these names."""
        found = dict.fromkeys(self._model_of(each) for name in sorted(names) for each in self._names.of((namespace, name)))
        return tuple(self._objects[each] for each in found if each in self._objects)

    def pods(self, namespace: str, model: str) -> tuple[Manifest, ...]:
        """Those that say they belong to this model, whoever owns them."""
        return tuple(self._objects[each] for each in self._pods.of((namespace, model)))

    def refs(self, api_version: str, kind: str) -> tuple[Ref, ...]:
        """Identities of all objects of a kind."""
        return tuple(self._kinds.of((api_version, kind)))

    def put(self, manifest: Manifest) -> None:
        """Take note of an object as it is. No news when what is known is as new, or when it is known to be gone."""
        target = ref(manifest)
        old = self._objects.get(target)
        if self._set(target, old, manifest):
            self._heard(old, self._objects[target])

    def wrote(self, answer: Manifest) -> None:
        """Take note of the answer to an own write. Who wrote knows; it may be news for others."""
        target = ref(answer)
        old = self._objects.get(target)
        if self._set(target, old, answer):
            self._wrote(old, self._objects[target])

    def drop(self, gone: Manifest) -> None:
        """Take note that exactly this object is gone as of its version. No news when another of its name is there already."""
        self._drop(gone, _version(gone))

    def deleted(self, gone: Manifest) -> None:
        """The same after an own delete, of which nobody knows the version: no news for anybody."""
        self._unset(gone, inf)

    def listing_begins(self) -> None:
        """From now on a listing shows all that was deleted before: what is gone need not be remembered longer."""
        self._gone.clear()

    def replace(self, of: Resource, namespace: str, listing: Listing) -> None:
        """Take note of all objects of a kind: those not listed are gone, unless they came after the listing's moment.

        Without a namespace: of all namespaces. This finds what a dead or interrupted watch has missed.
        """
        listed = {each["metadata"]["uid"] for each in listing.items}
        moment = int(listing.resource_version)
        for target in self.refs(of.api_version, of.kind):
            known = self._objects[target]
            if namespace in ("", target.namespace) and known["metadata"]["uid"] not in listed and _version(known) <= moment:
                self._drop(known, moment)
        for each in listing.items:
            self.put(each)

    def clear(self, of: Resource, namespace: str = "") -> None:
        """The cluster no longer serves this kind: all its objects are gone. With a namespace: there."""
        for target in self.refs(of.api_version, of.kind):
            if namespace in ("", target.namespace):
                self._drop(self._objects[target], inf)

    def _drop(self, gone: Manifest, until: float) -> None:
        if (old := self._unset(gone, until)) is not None:
            self._heard(old, None)

    def _set(self, target: Ref, old: Manifest | None, manifest: Manifest) -> bool:
        if _version(manifest) <= self._gone.get(manifest["metadata"]["uid"], 0) or (old is not None and not _newer(manifest, old)):
            return False
        new = needed(manifest)
        if old is not None:
            self._forget(target, old)
        self._objects[target] = new
        for index, key in self._found_under(target, new):
            index.add(key, target)
        return True

    def _unset(self, gone: Manifest, until: float) -> Manifest | None:
        self._gone[gone["metadata"]["uid"]] = until
        target = ref(gone)
        old = self._objects.get(target)
        if old is None or old["metadata"]["uid"] != gone["metadata"]["uid"] or _version(old) > until:
            return None
        self._forget(target, old)
        return self._objects.pop(target)

    def _forget(self, target: Ref, old: Manifest) -> None:
        for index, key in self._found_under(target, old):
            index.discard(key, target)

    def _found_under(self, target: Ref, manifest: Manifest) -> Iterator[tuple[Index[Any], Hashable]]:
        yield self._kinds, (target.api_version, target.kind)
        yield from ((self._owned, uid) for uid in owners(manifest))
        yield from ((self._names, (target.namespace, name)) for name in names_in(manifest))
        if target.kind == "Pod":
            yield self._pods, (target.namespace, model_label(manifest))

    def _model_of(self, target: Ref) -> Ref:
        """Of a model or a revision of it."""
        if target.kind == MODELDEPLOYMENTS.kind:
            return target
        return Ref(MODELDEPLOYMENTS.api_version, MODELDEPLOYMENTS.kind, target.namespace, model_label(self._objects[target]))


def needed(manifest: Manifest) -> Manifest:
    """The parts of an object that a decision may use: no managed fields (a third of an object), half of a pod."""
    meta = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
    kept = {**manifest, "metadata": meta}
    if manifest["kind"] == "Pod":
        kept["spec"] = {key: _needed_of_pod(key, value) for key, value in manifest["spec"].items() if key not in UNUSED_OF_PODS}
    if manifest["kind"] == "ConfigMap":
        # The same watchdog module in every ConfigMap: one copy in memory.
        kept["data"] = {key: sys.intern(value) for key, value in (manifest.get("data") or {}).items()}
    return kept


def _needed_of_pod(key: str, value: Any) -> Any:
    if key not in ("containers", "initContainers"):
        return value
    return [{name: part for name, part in each.items() if name not in UNUSED_OF_CONTAINERS} for each in value]


def owners(manifest: Manifest) -> Iterable[str]:
    """Under which uids an object is found: its owners, or what an Event is about."""
    if (about := manifest.get("involvedObject")) is not None:
        return (about["uid"],) if about.get("uid") else ()
    return tuple(each["uid"] for each in manifest["metadata"].get("ownerReferences") or ())


def model_label(manifest: Manifest) -> str:
    """Name of the model that an object says it belongs to; empty when it says nothing."""
    return str((manifest["metadata"].get("labels") or {}).get(MODEL, ""))


def _version(manifest: Manifest) -> int:
    return int(manifest["metadata"]["resourceVersion"])


def _newer(new: Manifest, old: Manifest) -> bool:
    return _version(new) > _version(old)
