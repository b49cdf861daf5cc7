"""The Kubernetes API: JSON documents in, JSON documents out, errors of `adapters/errors.py`.

`Kube` is the seam: `ApiServer` talks HTTP, the tests' FakeCluster is a dict. Nothing here retries: the work queue does, with backoff.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import aiohttp
from kubernetes.aio.client import ApiClient
from kubernetes.aio.config import ConfigException

from allod.adapters.errors import NotFound, Unavailable, error_of
from allod.adapters.merge import merge_patch
from allod.adapters.resources import resource
from allod.domain.manifest import ref
from allod.domain.names import FIELD_MANAGER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kubernetes.aio.client import Configuration

    from allod.adapters.resources import Resource
    from allod.domain.manifest import Manifest, Ref

CHUNK = 500
"""Objects in one answer to a list: keeps the memory peak of a large cluster small on both sides."""

TIMEOUT = aiohttp.ClientTimeout(total=30, connect=5)
"""Seconds. A write on a loaded server took 0.3 s at p99, so 30 s means that nobody is there."""

JSON, APPLY, MERGE = "application/json", "application/apply-patch+yaml", "application/merge-patch+json"

Propagation: TypeAlias = Literal["Background", "Foreground"]


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a kind at one moment."""

    items: tuple[Manifest, ...]
    resource_version: str
    """The moment, comparable with the resourceVersion of objects of the same kind."""


class Kube(Protocol):
    """What we do with the Kubernetes API. Every method raises an ApiError when it did not succeed."""

    async def get(self, target: Ref) -> Manifest:
        """Read one object."""

    async def list(self, of: Resource, namespace: str = "") -> Listing:
        """Read all objects of a kind that its selectors choose. Without a namespace: those of all namespaces."""

    async def create(self, manifest: Manifest) -> Manifest:
        """Create, and fail with AlreadyExists if it is there."""

    async def replace(self, manifest: Manifest) -> Manifest:
        """Write the whole object. With its resourceVersion: only if nobody wrote since (Conflict)."""

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply: our fields become as given, fields that we no longer send go, others' fields stay.

        With a uid: only onto this very object. With the resourceVersion `ABSENT`: only if there is none. Otherwise Conflict.
        """

    async def merge(self, manifest: Manifest) -> Manifest:
        """Merge patch: as apply, but lists become exactly as given, whoever else put items into them."""

    async def delete(self, live: Manifest, propagation: Propagation = "Background", grace: int | None = None) -> Manifest | None:
        """Delete exactly this object, not a later one of its name (Conflict). Returns it if it is still going, None when it is gone.

        `Foreground`: it stays visible until everything that it owns is gone. `grace`: seconds that a pod gets; without it, its own.
        """

    async def patch_status(self, live: Manifest, status: Manifest) -> Manifest:
        """Make the status of this object equal to the given one, if nobody wrote to it since it was read (Conflict)."""

    async def served(self, api_version: str) -> frozenset[str]:
        """Kinds that the cluster serves under an API version. Empty when it does not know the version."""


def unobserved(verb: str, code: int, seconds: float) -> None:
    """Take no notice of a request: for callers without metrics."""


class ApiServer:
    """Kube over HTTP. Close it when done."""

    def __init__(self, configuration: Configuration, observe: Callable[[str, int, float], None] = unobserved) -> None:
        """`observe(verb, code, seconds)` is told of each request; code 0 means that no answer came."""
        self._client = ApiClient(configuration)
        self._client.user_agent = FIELD_MANAGER
        self._observe = observe

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]  # the client annotates most but not this

    async def get(self, target: Ref) -> Manifest:
        """Read one object."""
        return await self._request("get", _path(target), f"get {target}")

    async def list(self, of: Resource, namespace: str = "") -> Listing:
        """Read all objects of a kind, chunk by chunk of one moment."""
        query: dict[str, str] = {"limit": str(CHUNK)}
        query |= {"labelSelector": of.labels} if of.labels else {}
        query |= {"fieldSelector": of.fields} if of.fields else {}
        items: list[Manifest] = []
        while True:
            page = await self._request("list", of.path(namespace), f"list {of.plural}", query=query)
            # Items of a list come without what is the same for all.
            items += ({"apiVersion": of.api_version, "kind": of.kind} | item for item in page.get("items") or ())
            if not (following := page["metadata"].get("continue")):
                return Listing(tuple(items), page["metadata"]["resourceVersion"])
            query["continue"] = following

    async def create(self, manifest: Manifest) -> Manifest:
        """Create, and fail with AlreadyExists if it is there."""
        target = ref(manifest)
        path = resource(target.api_version, target.kind).path(target.namespace)
        return await self._request("create", path, f"create {target}", body=manifest)

    async def replace(self, manifest: Manifest) -> Manifest:
        """Write the whole object."""
        target = ref(manifest)
        return await self._request("update", _path(target), f"replace {target}", body=manifest)

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply. Forced: our fields are ours, whoever else wrote them."""
        target = ref(manifest)
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._request("apply", _path(target), f"apply {target}", query=query, body=manifest, content=APPLY)

    async def merge(self, manifest: Manifest) -> Manifest:
        """Merge patch."""
        target = ref(manifest)
        query = {"fieldManager": FIELD_MANAGER}
        return await self._request("patch", _path(target), f"merge {target}", query=query, body=manifest, content=MERGE)

    async def delete(self, live: Manifest, propagation: Propagation = "Background", grace: int | None = None) -> Manifest | None:
        """Delete exactly this object."""
        target = ref(live)
        body: Manifest = {"preconditions": {"uid": live["metadata"]["uid"]}, "propagationPolicy": propagation}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        try:
            left = await self._request("delete", _path(target), f"delete {target}", body=body)
        except NotFound:
            return None
        # Who deletes together with somebody else is shown what both deleted, in no version (Kubernetes 1.36): it is gone.
        going = left.get("kind") == target.kind and {"deletionTimestamp", "resourceVersion"} <= left["metadata"].keys()
        return left if going else None

    async def patch_status(self, live: Manifest, status: Manifest) -> Manifest:
        """Send only what differs, as a merge patch that names the version on which it is computed.

        Not server-side apply: it leaves fields that somebody else once wrote into the status, so that the status would never equal
        what we want. Not PUT: it sends the whole spec along with every word of status.
        """
        target = ref(live)
        body = {
            "metadata": {"resourceVersion": live["metadata"]["resourceVersion"]},
            "status": merge_patch(live.get("status", {}), status),
        }
        path = _path(target, "status")
        query = {"fieldManager": FIELD_MANAGER}
        return await self._request("patch", path, f"write the status of {target}", query=query, body=body, content=MERGE)

    async def served(self, api_version: str) -> frozenset[str]:
        """Kinds under an API version, by discovery: allowed to everybody who may log in."""
        root = "apis" if "/" in api_version else "api"
        try:
            found = await self._request("get", f"/{root}/{api_version}", f"discover {api_version}")
        except NotFound:
            return frozenset()
        return frozenset(each["kind"] for each in found["resources"] if "/" not in each["name"])

    async def _request(
        self,
        verb: str,
        path: str,
        asked: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        content: str = JSON,
    ) -> Manifest:
        method = {"create": "POST", "update": "PUT", "apply": "PATCH", "patch": "PATCH", "delete": "DELETE"}.get(verb, "GET")
        code, started = 0, perf_counter()
        try:
            request = await self._client.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params={"Content-Type": content, "Accept": JSON},
                body=body,
                auth_settings=["BearerToken"],
            )
            response = await self._client.call_api(*request, _request_timeout=TIMEOUT)
            code = response.status
            text = await response.read()  # type: ignore[no-untyped-call]  # the client annotates most but not this
        except (aiohttp.ClientError, TimeoutError, OSError, ConfigException) as problem:  # the last: the token cannot be read afresh
            server = self._client.configuration.host
            raise Unavailable(f"{asked}: no answer from {server} ({str(problem) or type(problem).__name__})") from problem
        finally:
            self._observe(verb, code, perf_counter() - started)
        answer = _document(text)
        if not 200 <= code < 300:  # noqa: PLR2004  # the border of HTTP itself
            raise error_of(code, answer, asked)
        if not (answer.get("kind") and answer.get("apiVersion")):
            said = text.decode(errors="replace")[:200]
            raise Unavailable(f"{asked}: {self._client.configuration.host} answered with what is no Kubernetes object ({said!r})")
        return answer


def _path(target: Ref, subresource: str = "") -> str:
    return resource(target.api_version, target.kind).path(target.namespace, target.name, subresource)


def _document(text: bytes) -> dict[str, Any]:
    """The JSON object of an answer. A proxy in between may answer with something else: then its text is the message."""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {"message": text.decode(errors="replace")[:200]}
