"""The operator's process: starts the parts, ends them on SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
from typing import TYPE_CHECKING

from allod.adapters.engine import EnginePages
from allod.adapters.errors import Unavailable
from allod.adapters.kube import ApiServer
from allod.adapters.login import configure, login
from allod.adapters.prometheus import Prometheus
from allod.runtime import logs
from allod.runtime.lease import LeaseLost
from allod.runtime.metrics import Metrics
from allod.runtime.operator import Operator
from allod.runtime.server import Server

if TYPE_CHECKING:
    from kubernetes.aio.client import Configuration

    from allod.runtime.settings import Settings

log = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit code: 0 after a signal, 1 when the lease was lost or nothing could be started."""
    logs.configure(settings.log_level)
    lift_descriptor_limit()
    return asyncio.run(_main(settings))


def lift_descriptor_limit() -> None:
    """There is a connection for each pod, and a container may begin with 1,024 descriptors where it may have more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _main(settings: Settings) -> int:
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    try:
        configuration = await configure()
    except Unavailable as problem:
        log.error("cannot start", extra={"why": str(problem)})  # noqa: TRY400  # a sentence for a person, no bug of ours
        return 1
    return await _serve(settings, configuration, stop)


async def _serve(settings: Settings, configuration: Configuration, stop: asyncio.Event) -> int:
    metrics = Metrics()
    kube, pages = ApiServer(configuration, metrics.requested), EnginePages()
    prometheus = Prometheus(settings.prometheus) if settings.prometheus else None
    operator = Operator(settings, kube, pages, login=login(configuration), metrics=metrics, prometheus=prometheus)
    server = Server(metrics, operator.not_ready, operator.remark)
    try:
        port = await server.start(settings.http_host, settings.http_port)
        told = {"identity": settings.pod_name, "port": port, "namespaces": settings.namespaces or "all", "counters": _counters(settings)}
        log.info("started", extra=told)
        return await _until_stopped(operator, stop)
    except OSError as problem:
        log.error("cannot listen", extra={"why": str(problem)})  # noqa: TRY400  # a sentence for a person, no bug of ours
        return 1
    finally:
        await server.stop()
        await pages.close()
        if prometheus:
            await prometheus.close()
        await kube.close()


def _counters(settings: Settings) -> str:
    """Who tells what engines count."""
    return settings.prometheus.url if settings.prometheus else "the engines"


async def _until_stopped(operator: Operator, stop: asyncio.Event) -> int:
    working = asyncio.create_task(operator.run(), name="operator")
    stopping = asyncio.create_task(stop.wait(), name="signal")
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        working.cancel()
        await asyncio.wait((working,))
        log.info("stopped")
        return 0
    try:
        await working
    except* LeaseLost as lost:
        why = "; ".join(str(each) for each in _leaves(lost))
        log.error("this replica must not write any more", extra={"why": why})  # noqa: TRY400  # a sentence for a person, no bug of ours
    return 1


def _leaves(group: BaseExceptionGroup) -> list[BaseException]:
    """The exceptions of a group, without the groups within."""
    return [leaf for each in group.exceptions for leaf in (_leaves(each) if isinstance(each, BaseExceptionGroup) else [each])]
