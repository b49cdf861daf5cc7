"""A Kubernetes API in a dict: the same protocol as adapters.kube.ApiServer, with the rules of the real one that our code relies on.

uid, resourceVersion, generation, the status subresource, server-side apply of one manager, preconditions, garbage collection, watches.
What it leaves out (defaulting, validation, admission) is tested on the real one, in tests/control_plane.
"""

from __future__ import annotations

import itertools
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from allod.adapters.errors import AlreadyExists, Conflict, Invalid, NotFound, Unavailable
from allod.adapters.kube import Listing
from allod.adapters.resources import OPTIONAL, REQUIRED, WRITTEN_ONLY
from allod.domain.manifest import Ref, ref
from allod.reconcile.difference import WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from allod.adapters.kube import Propagation
    from allod.adapters.resources import Resource
    from allod.domain.manifest import Manifest

    Watcher = Callable[[str, Manifest], None]

WATCHED = {(each.api_version, each.kind): each for each in (*REQUIRED, *OPTIONAL)}
EPOCH = "2026-11-20T00:00:00Z"
"""When everything here was made, and deleted."""


class FakeCluster:
    """All objects of one cluster."""

    def __init__(self) -> None:
        self.objects: dict[Ref, Manifest] = {}
        self.writes: list[tuple[str, Ref]] = []
        """Every request that changed something, as (verb, object)."""
        self.reads: list[tuple[str, str]] = []
        """Every get and list, as (verb, object or plural)."""
        self.down = False
        """The API server does not answer."""
        self.forbidden: set[tuple[str, str]] = set()
        """Plural and namespace of lists that are refused, as by RBAC. "*" stands for every kind."""
        self.kinds = {(each.api_version, each.kind) for each in (*REQUIRED, *WRITTEN_ONLY)}
        """Served. Add those of `OPTIONAL` to install the Prometheus operator."""
        self._applied: dict[Ref, Manifest] = {}
        self._numbers = itertools.count(1)
        self._watchers: list[Watcher] = []

    def install(self, *resources: Resource) -> None:
        """Serve these kinds from now on."""
        self.kinds |= {(each.api_version, each.kind) for each in resources or OPTIONAL}

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher(ADDED | MODIFIED | DELETED, object)` on every change of what is watched.

        As the API server does it: of an object that the selectors of its kind do not choose nothing is told, and one that they no longer
        choose is told as deleted.
        """
        self._watchers.append(watcher)

    # What adapters.kube.Kube asks for.

    async def get(self, target: Ref) -> Manifest:
        self._answer(target.api_version, target.kind)
        self.reads.append(("get", str(target)))
        return deepcopy(self._find(target))

    async def list(self, of: Resource, namespace: str = "") -> Listing:
        self._answer(of.api_version, of.kind)
        self.reads.append(("list", of.plural))
        if self.forbidden & {(of.plural, namespace), ("*", namespace)}:
            raise Invalid(f"list: {of.plural} is forbidden")
        return Listing(tuple(deepcopy(each) for each in self._all(of, namespace)), str(next(self._numbers)))

    async def create(self, manifest: Manifest) -> Manifest:
        target = ref(manifest)
        self._answer(target.api_version, target.kind)
        if target in self.objects:
            raise AlreadyExists(f"{target} already exists")
        return self._store("create", target, {**manifest, "metadata": {**manifest["metadata"], **self._born()}})

    async def replace(self, manifest: Manifest) -> Manifest:
        target = ref(manifest)
        self._answer(target.api_version, target.kind)
        self._require_version(self._find(target), manifest["metadata"].get("resourceVersion"))
        return self._store("update", target, manifest)

    async def apply(self, manifest: Manifest) -> Manifest:
        target = ref(manifest)
        self._answer(target.api_version, target.kind)
        live = self.objects.get(target)
        manifest = self._preconditioned(live, manifest)
        base = {"metadata": self._born()} if live is None else _without(deepcopy(live), self._applied.get(target, {}))
        self._applied[target] = deepcopy(manifest)
        return self._store("apply", target, _merged(base, manifest))

    async def merge(self, manifest: Manifest) -> Manifest:
        target = ref(manifest)
        self._answer(target.api_version, target.kind)
        live = self._find(target)
        return self._store("merge", target, _merged(live, self._preconditioned(live, manifest)))

    async def delete(self, live: Manifest, propagation: Propagation = "Background", grace: int | None = None) -> Manifest | None:
        target = ref(live)
        assert grace in (None, 0, 1), "nobody asks for another grace than a pod's own, none, or as good as none"
        self._answer(target.api_version, target.kind)
        if target not in self.objects:
            return None
        if self.objects[target]["metadata"]["uid"] != live["metadata"]["uid"]:
            raise Conflict(f"{target} is another one")
        self.writes.append(("delete", target))
        uid = self.objects[target]["metadata"]["uid"]
        if propagation == "Foreground" and any(self._owned(uid)):
            self._mark(target)
            for each in list(self._owned(uid)):
                self._end(ref(each))
            return deepcopy(self.objects.get(target))
        if (target.kind == "Pod" and grace != 0) or self.objects[target]["metadata"].get("finalizers"):
            self._mark(target)
            return deepcopy(self.objects[target])
        self.remove(target)
        return None

    async def patch_status(self, live: Manifest, status: Manifest) -> Manifest:
        target = ref(live)
        self._answer(target.api_version, target.kind)
        found = self._find(target)
        self._require_version(found, live["metadata"]["resourceVersion"])
        return self._store("patch status", target, {**found, "status": status}, status_too=True)

    async def served(self, api_version: str) -> frozenset[str]:
        self._answer()
        return frozenset(kind for version, kind in self.kinds if version == api_version)

    # What people, controllers and nodes do.

    def edit(self, target: Ref, change: Callable[[Manifest], None]) -> Manifest:
        """`kubectl edit`: change anything but the status."""
        manifest = deepcopy(self._find(target))
        change(manifest)
        return self._store("edit", target, manifest)

    def set_status(self, target: Ref, status: Manifest) -> Manifest:
        """What controllers and kubelets report."""
        return self._store("status", target, {**self._find(target), "status": deepcopy(status)}, status_too=True)

    def add(self, manifest: Manifest) -> Manifest:
        """`kubectl create`, and what controllers make."""
        return self._store("add", ref(manifest), {**manifest, "metadata": {**manifest["metadata"], **self._born()}}, status_too=True)

    def remove(self, target: Ref) -> None:
        """The object is gone, and what it owned follows."""
        gone = self.objects.pop(target)
        self._applied.pop(target, None)
        before = deepcopy(gone)
        gone["metadata"]["resourceVersion"] = str(next(self._numbers))
        self._tell(before, None, gone)
        for each in list(self._owned(gone["metadata"]["uid"])):
            self._end(ref(each))
        for owner in gone["metadata"].get("ownerReferences", ()):
            self._finish_foreground(owner["uid"])

    def mark_deleted(self, target: Ref) -> None:
        """`kubectl delete` of something that takes its time: a pod that drains, an object with a finalizer."""
        self._mark(target)

    def of_kind(self, kind: str) -> tuple[Manifest, ...]:
        """All objects of a kind, whatever its group."""
        return tuple(each for target, each in self.objects.items() if target.kind == kind)

    def names(self, kind: str) -> tuple[str, ...]:
        """Their names, sorted."""
        return tuple(sorted(each["metadata"]["name"] for each in self.of_kind(kind)))

    # The rules.

    def _answer(self, api_version: str = "", kind: str = "") -> None:
        if self.down:
            raise Unavailable("no answer from the API server")
        if kind and (api_version, kind) not in self.kinds:
            raise NotFound(f"the server does not know {kind} in {api_version}")

    def _find(self, target: Ref) -> Manifest:
        if target not in self.objects:
            raise NotFound(f"{target} not found")
        return self.objects[target]

    def _all(self, of: Resource, namespace: str) -> Iterator[Manifest]:
        for target, each in self.objects.items():
            if (target.api_version, target.kind) == (of.api_version, of.kind) and namespace in ("", target.namespace) and _chosen(of, each):
                yield each

    def _owned(self, uid: str) -> Iterator[Manifest]:
        return (each for each in self.objects.values() if uid in {o["uid"] for o in each["metadata"].get("ownerReferences", ())})

    def _born(self) -> dict[str, Any]:
        return {"uid": f"uid-{next(self._numbers)}", "creationTimestamp": EPOCH}

    def _store(self, verb: str, target: Ref, new: Manifest, *, status_too: bool = False) -> Manifest:
        """Keep a new state, unless it is the old one: then no version, no event, no write."""
        old = self.objects.get(target)
        new = deepcopy(new)
        meta = new["metadata"]
        if not status_too:
            new.pop("status", None)
            if old is not None and "status" in old:
                new["status"] = deepcopy(old["status"])
        meta["resourceVersion"] = old["metadata"]["resourceVersion"] if old else ""
        meta["generation"] = old["metadata"]["generation"] if old else 1
        if old == new:
            return deepcopy(new)
        if old is not None and new.get("spec") != old.get("spec"):
            meta["generation"] += 1
        meta["resourceVersion"] = str(next(self._numbers))
        self.objects[target] = new
        self.writes.append((verb, target))
        self._tell(old, new, new)
        return deepcopy(new)

    @staticmethod
    def _preconditioned(live: Manifest | None, manifest: Manifest) -> Manifest:
        """What is sent, without the uid and the resourceVersion that it may name: those of the only object to which it may be applied."""
        meta = dict(manifest["metadata"])
        uid, version = meta.pop("uid", None), meta.pop("resourceVersion", None)
        if uid is not None and (live is None or uid != live["metadata"]["uid"]):
            raise Conflict("metadata.uid: field is immutable" if live else "uid mismatch: no existing object was found")
        if version is not None and live is not None and version != live["metadata"]["resourceVersion"]:
            raise Conflict("the object has been modified")
        return {**manifest, "metadata": meta}

    @staticmethod
    def _require_version(live: Manifest, version: str | None) -> None:
        if version is not None and version != live["metadata"]["resourceVersion"]:
            raise Conflict("the object has been modified")

    def _mark(self, target: Ref) -> None:
        manifest = self.objects[target]
        if "deletionTimestamp" not in manifest["metadata"]:
            manifest["metadata"] |= {"deletionTimestamp": EPOCH, "resourceVersion": str(next(self._numbers))}
            self._tell(manifest, manifest, manifest)

    def _end(self, target: Ref) -> None:
        """A pod drains until its node says that it is gone; anything else goes at once."""
        if target.kind == "Pod":
            self._mark(target)
        else:
            self.remove(target)

    def _finish_foreground(self, uid: str) -> None:
        for target, each in list(self.objects.items()):
            if each["metadata"]["uid"] == uid and "deletionTimestamp" in each["metadata"] and not any(self._owned(uid)):
                self.remove(target)

    def _tell(self, old: Manifest | None, new: Manifest | None, last: Manifest) -> None:
        """From one state to the next; `last` is what is told: of a deleted object its last state, under the version of its end."""
        of = WATCHED.get((last["apiVersion"], last["kind"]))
        was, is_ = (each is not None and of is not None and _chosen(of, each) for each in (old, new))
        if was or is_:
            how = "MODIFIED" if was and is_ else "ADDED" if is_ else "DELETED"
            for watcher in self._watchers:
                watcher(how, deepcopy(last))


def _chosen(of: Resource, manifest: Manifest) -> bool:
    """Whether the selectors of a kind choose this object of it."""
    labels = dict(pair.split("=") for pair in of.labels.split(",") if pair)
    fields = dict(pair.split("=") for pair in of.fields.split(",") if pair)
    has = labels.items() <= (manifest["metadata"].get("labels") or {}).items()
    return has and all(_field(manifest, path) == value for path, value in fields.items())


def _field(manifest: Any, path: str) -> Any:
    for part in path.split("."):
        manifest = manifest.get(part) or {}
    return manifest


def _without(live: Any, applied: Any) -> Any:
    """`live` less what was applied before: what is not applied again goes."""
    if not isinstance(live, dict) or not isinstance(applied, dict):
        return live
    kept = {}
    for key, value in live.items():
        if key not in applied or key in ("apiVersion", "kind", "name", "namespace"):
            kept[key] = value
        elif isinstance(value, dict) and isinstance(applied[key], dict):
            kept[key] = _without(value, applied[key])
    return kept


def _merged(base: Any, new: Any) -> Any:
    """`new` over `base`: maps key by key, selectors and everything else as a whole."""
    if isinstance(base, dict) and isinstance(new, dict):
        return {**base, **{key: _merged(None if key in WHOLE else base.get(key), value) for key, value in new.items()}}
    return deepcopy(new)
