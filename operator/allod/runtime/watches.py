"""Watch streams of the API server, by kopf: the only module that knows it.

kopf runs in a thread with an event loop of its own, because it takes the process's signals, and because on its way out it cancels every
task of its loop that it did not know before. It only listens: no handlers with state, no finalizers, no annotations, no events, no peering.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import threading
from typing import TYPE_CHECKING, Any

import kopf

from allod.adapters.kube import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from allod.adapters.login import Login
    from allod.adapters.resources import Resource
    from allod.domain.manifest import Manifest

    Hear = Callable[[Resource, str | None, Manifest], None]

log = logging.getLogger(__name__)

EXIT = 2.0
"""Seconds that kopf gets to end its streams; it takes 0.4."""


class Patience:
    """Delays between attempts to reach the API server, without end: kopf gives up, and ends, when its list of delays does."""

    def __iter__(self) -> Iterator[float]:
        """A fresh sequence for each request. Seconds."""
        return itertools.chain((0.1, 0.2, 0.5, 1, 2), itertools.repeat(3))


def operator_settings(resources: Sequence[Resource]) -> kopf.OperatorSettings:
    """Everything of kopf that is not a watch stream is off."""
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True  # our kinds are known: no right to list CRDs and namespaces is needed
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.persistence.finalizer = "allod.dev/finalizer"  # never used; kopf's own name would be somebody else's
    settings.process.ultimate_exiting_timeout = None  # it would kill the whole process
    settings.networking.error_backoffs = Patience()
    settings.networking.connect_timeout = 5
    settings.watching.chunk_size = CHUNK
    # Streams end and begin again, so that one that died silently does so too (kopf#1276).
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    for each in resources:
        if each.labels:
            settings.watching.label_selectors[each.group, each.version, each.plural] = each.labels
        if each.fields:
            settings.watching.field_selectors[each.group, each.version, each.plural] = each.fields
    return settings


def build_registry(resources: Sequence[Resource], login: Login, hear: Hear) -> kopf.OperatorRegistry:
    """A login, and for each kind one handler that hands the object on. A handler that failed would not be called again."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(id="login", registry=registry)
    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        ours = await login()
        return kopf.ConnectionInfo(
            server=ours.server,
            ca_path=ours.ca_path,
            insecure=not ours.verify,
            scheme="Bearer" if ours.token else None,
            token=ours.token,
            certificate_path=ours.certificate_path,
            private_key_path=ours.private_key_path,
        )

    for each in resources:
        _watch(registry, each, hear)
    return registry


def _watch(registry: kopf.OperatorRegistry, of: Resource, hear: Hear) -> None:
    @kopf.on.event(of.group, of.version, of.plural, id=of.plural, registry=registry)
    async def handler(event: kopf.RawEvent, **_: Any) -> None:
        hear(of, event["type"], {"apiVersion": of.api_version, "kind": of.kind, **event["object"]})


class Watches:
    """One run of kopf over a fixed set of kinds. `hear` is called in the loop that called `run`, in the order of events of each object.

    The type of an event is ADDED, MODIFIED or DELETED, or None for an object of a listing with which kopf begins a stream.
    """

    def __init__(self, resources: Sequence[Resource], namespaces: Sequence[str], login: Login, hear: Hear) -> None:
        self._resources, self._namespaces, self._login, self._hear = resources, namespaces, login, hear
        self._ended = asyncio.Event()
        self._failure: BaseException | None = None
        self._inside: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None
        self._stopping = threading.Event()

    async def run(self) -> None:
        """Watch until cancelled. Raises what ended kopf, if it ends by itself: a kind that is no longer served, for one."""
        outside = asyncio.get_running_loop()
        thread = threading.Thread(target=self._thread, args=(outside,), name="watches", daemon=True)
        thread.start()
        try:
            await self._ended.wait()
        finally:
            self._stop()
            await outside.run_in_executor(None, thread.join, EXIT)
        if self._failure is not None:
            raise self._failure

    def _stop(self) -> None:
        self._stopping.set()
        if (inside := self._inside) is not None:
            loop, task = inside
            with contextlib.suppress(RuntimeError):  # its loop has just ended by itself
                loop.call_soon_threadsafe(task.cancel)

    def _thread(self, outside: asyncio.AbstractEventLoop) -> None:
        try:
            asyncio.run(self._operate(outside))
        except asyncio.CancelledError:
            pass
        except BaseException as problem:  # noqa: BLE001  # it is raised again in the loop that waits for us
            self._failure = problem
        finally:
            self._inside = None
            if not outside.is_closed():
                outside.call_soon_threadsafe(self._ended.set)

    async def _operate(self, outside: asyncio.AbstractEventLoop) -> None:
        def hear(of: Resource, how: str | None, manifest: Manifest) -> None:
            outside.call_soon_threadsafe(self._hear, of, how, manifest)

        task, inside = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None  # noqa: S101  # for the type checker: asyncio.run makes one
        inside.set_exception_handler(self._died)
        self._inside = (inside, task)
        if self._stopping.is_set():
            return
        await kopf.operator(
            registry=build_registry(self._resources, self._login, hear),
            settings=operator_settings(self._resources),
            # Else kopf asks for the user's name, and a container's user has none. Its type is private to kopf.
            identity="allod",  # type: ignore[arg-type]
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
        )

    def _died(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception that nobody waited for. On its way out kopf closes connections under tasks that still read from them."""
        if self._stopping.is_set():
            log.debug("a task ended with the watches", extra={"why": f"{context['message']}: {context.get('exception')}"})
        else:
            loop.default_exception_handler(context)
