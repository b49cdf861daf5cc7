"""What a real Prometheus says of pages of real engines, asked as the operator asks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from allod.adapters.engine import reading
from allod.adapters.errors import Unavailable
from allod.adapters.prometheus import Access, Prometheus
from support.loneprometheus import LonePrometheus, Scraped, scraping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from allod.api.slo import Metric

PAGES = Path(__file__).parent / "pages"
VLLM = (PAGES / "vllm-0.32.0.txt").read_bytes()
"""A real one, and no failure is on it."""
BUSY = (
    VLLM.replace(b'finished_reason="error",model_name="smol"} 0.0', b'finished_reason="error",model_name="smol"} 3.0')
    .replace(b'num_requests_waiting{engine="0",model_name="smol"} 0.0', b'num_requests_waiting{engine="0",model_name="smol"} 7.0')
    .replace(b'kv_cache_usage_perc{engine="0",model_name="smol"} 0.0', b'kv_cache_usage_perc{engine="0",model_name="smol"} 0.875')
    .replace(
        b'http_requests_total{handler="none",method="GET",status="4xx"} 1.0\n',
        b'http_requests_total{handler="none",method="POST",status="5xx"} 4.0\n',
    )
    + b"# TYPE allod_watchdog_self_requests_total counter\n"
    + b'allod_watchdog_self_requests_total{result="answered"} 5\nallod_watchdog_self_requests_total{result="lost"} 1\n'
)
OLDER = VLLM.replace(b"vllm:inter_token_latency_seconds", b"vllm:time_per_output_token_seconds").replace(
    b"kv_cache_usage", b"gpu_cache_usage"
)
TWO = VLLM.replace(
    b'vllm:num_requests_waiting{engine="0",model_name="smol"} 0.0\n',
    b"".join(b'vllm:num_requests_waiting{engine="%d",model_name="smol"} 2.0\n' % engine for engine in range(2)),
)
LLAMA = b"# TYPE llamacpp:requests_processing gauge\nllamacpp:requests_processing 0\n"
METRICS: tuple[Metric, ...] = ("TTFTSeconds", "InterTokenSeconds", "EndToEndSeconds")
ONES = {"vllm": VLLM, "busy": BUSY, "older": OLDER, "two-engines": TWO}
TARGETS = [
    *(Scraped(name) for name in ONES),
    Scraped("llama"),
    Scraped("vllm", job="company/sidecars", path="/llama"),
    Scraped("vllm", job="company/pods", path="/vllm"),
    Scraped("broken"),
    Scraped("renewed"),
    Scraped("other-0", model="other", path="/vllm"),
    Scraped("chat-0", namespace="research", path="/busy"),
    Scraped("llm-3.1-0", model="llm-3.1", path="/vllm"),
    Scraped("llm-351-0", model="llm-351", path="/vllm"),
    Scraped("twin-0", model="twin", labels={"cluster": "zurich"}, path="/vllm"),
    Scraped("twin-0", model="twin", labels={"cluster": 'a "b"\\'}, path="/busy"),
]


@pytest.fixture(scope="module")
def scraper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LonePrometheus]:
    pages = {f"/{name}": page for name, page in ONES.items()} | {"/renewed": VLLM, "/llama": LLAMA}
    with scraping(tmp_path_factory.mktemp("prometheus"), TARGETS, pages) as made:
        made.until("count(up == 1)", len(TARGETS) - 1)
        yield made


@pytest.fixture
async def prometheus(scraper: LonePrometheus) -> AsyncIterator[Prometheus]:
    made = Prometheus(Access(scraper.url))
    yield made
    await made.close()


@pytest.mark.parametrize("name", ONES)
async def test_it_says_of_a_pod_what_the_pods_own_page_says(prometheus: Prometheus, name: str) -> None:
    found = await prometheus.counted({("ai", "chat")}, METRICS)
    assert found["ai", name].reading == reading(ONES[name], METRICS)
    assert 0 <= found["ai", name].age < 5


async def test_only_the_histograms_that_are_wanted_are_asked_for(prometheus: Prometheus) -> None:
    found = await prometheus.counted({("ai", "chat")}, METRICS[:1])
    assert found["ai", "vllm"].reading == reading(VLLM, METRICS[:1])
    assert (await prometheus.counted({("ai", "chat")}, ()))["ai", "vllm"].reading.counts.times == {}


@pytest.mark.parametrize(
    ("models", "pods"),
    [
        ({("ai", "other")}, {("ai", "other-0")}),
        ({("research", "chat")}, {("research", "chat-0")}),
        ({("ai", "llm-3.1")}, {("ai", "llm-3.1-0")}),
        ({("ai", "other"), ("ai", "llm-351")}, {("ai", "other-0"), ("ai", "llm-351-0")}),
        ({("ai", "none")}, set()),
    ],
)
async def test_models_are_found_by_their_names_and_their_namespaces(
    prometheus: Prometheus, models: set[tuple[str, str]], pods: set[tuple[str, str]]
) -> None:
    assert (await prometheus.counted(models, ())).keys() == pods


@pytest.mark.parametrize(("cluster", "page"), [("zurich", VLLM), ('a "b"\\', BUSY)])
async def test_of_several_clusters_the_one_with_the_labels_is_ours(scraper: LonePrometheus, cluster: str, page: bytes) -> None:
    prometheus = Prometheus(Access(scraper.url, match_labels={"cluster": cluster}))
    found = await prometheus.counted({("ai", "twin"), ("ai", "chat")}, ())
    await prometheus.close()
    assert {pod: each.reading for pod, each in found.items()} == {("ai", "twin-0"): reading(page, ())}


async def test_a_pod_that_cannot_be_scraped_is_not_known_and_comes_back(prometheus: Prometheus, scraper: LonePrometheus) -> None:
    before = await prometheus.counted({("ai", "chat")}, ())
    assert not {("ai", "broken"), ("ai", "llama")} & before.keys(), "nor one whose page has no line of vLLM"
    scraper.write("/renewed", None)
    assert ("ai", "renewed") not in await prometheus.counted({("ai", "chat")}, ())
    scraper.write("/renewed", BUSY)
    after = await prometheus.counted({("ai", "chat")}, ())
    assert after["ai", "renewed"].reading.counts.numbers["failed"] == 4
    assert after["ai", "renewed"].at > before["ai", "renewed"].at


async def test_two_pods_are_seen_as_of_one_moment(prometheus: Prometheus) -> None:
    found = await prometheus.counted({("ai", "chat"), ("ai", "other")}, METRICS)
    moments = {round(each.at + each.age, 3) for each in found.values()}
    assert len(moments) == 1


async def test_what_it_cannot_answer_is_told_in_its_own_words(scraper: LonePrometheus) -> None:
    prometheus = Prometheus(Access(scraper.url, match_labels={"no label": "x"}))
    with pytest.raises(Unavailable) as refused:
        await prometheus.counted({("ai", "chat")}, ())
    await prometheus.close()
    assert str(refused.value).startswith(f"Prometheus at {scraper.url} cannot tell (400 Bad Request): bad_data: ")


async def test_an_address_that_is_not_its_root_is_named(scraper: LonePrometheus) -> None:
    prometheus = Prometheus(Access(f"{scraper.url}/graph"))
    with pytest.raises(Unavailable, match=r"is no Prometheus \(404 Not Found\): prometheus\.url is the part in front of /api/v1/query"):
        await prometheus.counted({("ai", "chat")}, ())
    await prometheus.close()
