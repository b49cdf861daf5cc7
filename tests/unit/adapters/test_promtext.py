from __future__ import annotations

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from allod.adapters.promtext import Page
from allod.domain.serving.engine.metrics import COUNTERS, HISTOGRAMS, Lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.samples import Sample

REAL = (Path(__file__).parent / "pages" / "vllm-0.32.0.txt").read_text()
"""Of vLLM 0.32 after 13 requests, cut to what is read and some of what is not."""


def parsed(text: str) -> Iterator[Sample]:
    """By the full parser of prometheus_client."""
    for family in text_string_to_metric_families(text):
        yield from family.samples


def test_a_real_page_is_read_as_the_full_parser_reads_it() -> None:
    page = Page(REAL.encode())
    names = sorted({sample.name for sample in parsed(REAL)})
    assert len(names) > 20
    for name in names:
        assert [value for _, value in page.samples(name)] == [sample.value for sample in parsed(REAL) if sample.name == name]


@pytest.mark.parametrize(
    ("text", "total"),
    [
        ("n 7\n", 7),
        ("n 7", 7),
        ("n{} 7\n", 7),
        ("n 1.3e+01\n", 13),
        ("n -2.5E-1\n", -0.25),
        ("n 7 1795301428000\n", 7),
        ('n{a="1"} 1\nn{a="2"} 2\n', 3),
        ('n{a="}} 9",b="\\"x\\" n 9"} 1\n', 1),
        ("# HELP n How n 9\n# TYPE n counter\nn 1\n# a remark\nn 2\n", 3),
        ("n_more 9\nn:m 9\nnn 9\nn 1\n", 1),
        ('n { a = "1" } 4\n', 4),
        ("n\t5\n", 5),
        ("n NaN\nn +Inf\nn -Inf\nn 1\n", 1),
        ("n 1\nn\nn x\nn{\nn{a=\n", 1),
        ("n 1\n# TYPE m counter\nm 2\n", 1),
        ("", 0),
    ],
    ids=repr,
)
def test_samples_are_found_however_they_are_written(text: str, total: float) -> None:
    assert Page(text.encode()).total(Lines("n")) == total


PAGE = Page(b'n{code="200",to="/v1/a"} 1\nn{to="/v2/b",code="500"} 2\nn{code="503",to="/x"} 4\nn{code="2"} 8\n')


@pytest.mark.parametrize(
    ("labels", "total"),
    [
        ((), 15),
        ((("code", "5.*"),), 6),
        ((("to", "/v[12]/.*"),), 3),
        ((("code", "5.*"), ("to", "/v[12]/.*")), 2),
        ((("code", "2"),), 8),
        ((("gone", "x"),), 0),
        ((("gone", "|x"),), 15),
    ],
    ids=repr,
)
def test_labels_have_to_fit_as_a_whole_in_any_order(labels: tuple[tuple[str, str], ...], total: float) -> None:
    assert PAGE.total(Lines("n", labels)) == total


def test_a_histogram_is_summed_over_the_engines_of_a_pod() -> None:
    text = """# TYPE h histogram
h_bucket{engine="0",le="0.5"} 1
h_bucket{engine="0",le="+Inf"} 3
h_count{engine="0"} 3
h_bucket{le="0.5",engine="1"} 10
h_bucket{engine="1",handle="le",le="+Inf"} 20
h_count{engine="1"} 20
h_bucket{engine="1",le="wide"} 99
"""
    found = Page(text.encode()).buckets("h")
    assert (found.bounds, found.counts) == ((0.5, inf), (11, 23))


@pytest.mark.parametrize("text", ["", 'h_bucket{le="1"} 2\n', "h_count 2\nh_sum 3\n"], ids=repr)
def test_half_a_histogram_is_none(text: str) -> None:
    assert Page(text.encode()).buckets("h").bounds == ()


def test_of_two_names_for_one_thing_the_first_that_is_there_counts() -> None:
    text = b'old_bucket{le="+Inf"} 1\nnew_bucket{le="+Inf"} 1\nnew_usage 0.5\nold_usage 0.5\n'
    assert Page(text).buckets("new", "old").total == 1
    assert Page(text).buckets("gone", "old").total == 1
    assert Page(text).values("new_usage", "old_usage") == (0.5,)
    assert Page(text).values("gone") == ()


TEXT = st.text(st.characters(codec="utf-8"), max_size=12)


@given(st.lists(st.tuples(TEXT, st.integers(0, 10**9), st.floats(0, 100)), max_size=8))
def test_whatever_prometheus_client_writes_is_read_back(made: list[tuple[str, int, float]]) -> None:
    registry = CollectorRegistry()
    counter = Counter("n", "n_total{} 7", ["label"], registry=registry)
    histogram = Histogram("h", "h", ["label"], registry=registry, buckets=(0.1, 1, 10))
    for label, number, seconds in made:
        counter.labels(label).inc(number)
        histogram.labels(label).observe(seconds)
    page = Page(generate_latest(registry))
    assert page.total(Lines("n_total")) == sum(number for _, number, _ in made)
    found = page.buckets("h")
    if made:
        assert found.counts == tuple(sum(seconds <= bound for _, _, seconds in made) for bound in found.bounds)


def test_every_name_that_is_looked_for_is_on_a_real_page() -> None:
    page = Page(REAL.encode())
    ours = {lines.name for lines in COUNTERS.values() if lines.name.startswith("allod_")}
    for lines in COUNTERS.values():
        assert [*page.samples(lines.name)] or lines.name in ours
    assert all(page.buckets(names[0]).total for names in HISTOGRAMS.values())
