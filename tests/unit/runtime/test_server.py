from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest

from allod.domain.manifest import Ref
from allod.runtime.metrics import Metrics
from allod.runtime.server import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEY = Ref("allod.dev/v1alpha1", "ModelDeployment", "ai", "chat")


class Why:
    sentence = ""
    remark = ""


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def base(metrics: Metrics) -> AsyncIterator[str]:
    server = Server(metrics, lambda: Why.sentence, lambda: Why.remark)
    yield f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
    await server.stop()


async def page(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_a_process_that_turns_is_healthy(base: str) -> None:
    assert await page(f"{base}/healthz") == (200, "ok\n")


async def test_readyz_says_in_a_sentence_why_not(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await page(f"{base}/readyz") == (200, "ok\n")
    monkeypatch.setattr(Why, "sentence", "the first listing of the cluster is not finished")
    assert await page(f"{base}/readyz") == (503, "the first listing of the cluster is not finished\n")


async def test_what_does_not_work_all_the_same_is_told_by_a_replica_that_is_ready(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Why, "remark", "pods cannot be listed in the namespace legal")
    assert await page(f"{base}/readyz") == (200, "ok\npods cannot be listed in the namespace legal\n")


async def test_the_names_of_the_figures_stay(base: str, metrics: Metrics) -> None:
    metrics.reconciled("ModelDeployment", "changed", 0.01)
    metrics.retried("ModelDeployment")
    metrics.requested("apply", 201, 0.01)
    metrics.heard("pods")
    metrics.waited(0.1)
    metrics.depth(lambda: 3)
    metrics.leader.set(1)
    metrics.heartbeat_states(("Serving", "Gone"), len)
    metrics.listened(5, 0.02)
    metrics.conditions(KEY, {"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Serving"}]}})
    _, text = await page(f"{base}/metrics")
    for line in (
        'allod_reconcile_total{kind="ModelDeployment",result="changed"} 1.0',
        'allod_reconcile_seconds_count{kind="ModelDeployment"} 1.0',
        'allod_retries_total{kind="ModelDeployment"} 1.0',
        'allod_api_requests_total{code="201",verb="apply"} 1.0',
        'allod_watch_last_event_timestamp_seconds{resource="pods"}',
        "allod_workqueue_latency_seconds_count 1.0",
        "allod_workqueue_depth 3.0",
        "allod_leader 1.0",
        'allod_condition{kind="ModelDeployment",name="chat",namespace="ai",reason="Serving",status="True",type="Ready"} 1.0',
        'allod_heartbeat_pods{state="Gone"} 4.0',
        'allod_heartbeat_pods{state="Serving"} 7.0',
        "allod_heartbeats_total 5.0",
        'allod_event_loop_lag_seconds_bucket{le="0.025"} 1.0',
        "process_resident_memory_bytes",
    ):
        assert line in text


async def test_a_condition_has_one_series_and_none_when_its_object_is_gone(base: str, metrics: Metrics) -> None:
    metrics.conditions(KEY, {"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Serving"}]}})
    metrics.conditions(KEY, {"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "Unavailable"}]}})
    _, text = await page(f"{base}/metrics")
    assert text.count("allod_condition{") == 1
    assert 'reason="Unavailable",status="False"' in text
    metrics.conditions(KEY, {"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "CrashLoop"}]}})
    _, text = await page(f"{base}/metrics")
    assert text.count("allod_condition{") == 1, "another reason is the same question"
    metrics.conditions(KEY, None)
    assert "allod_condition{" not in (await page(f"{base}/metrics"))[1]


async def test_a_taken_port_is_an_error(base: str, metrics: Metrics) -> None:
    other = Server(metrics, lambda: "")
    with pytest.raises(OSError, match="address already in use"):
        await other.start("127.0.0.1", int(base.rpartition(":")[2]))
    await other.stop()
