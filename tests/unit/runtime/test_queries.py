"""Counters from a Prometheus that scrapes when it likes: windows, what is missing, and a Prometheus that goes away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from allod.adapters.errors import Refused, Unanswered, Unavailable
from allod.domain.manifest import ref
from allod.domain.serving.health.slos import slo_finding
from allod.reconcile.world import Pair
from allod.runtime.queries import STALE
from allod.runtime.shares import SHARE
from allod.runtime.troubles import AWAY
from unit.runtime.scraped import COMPARED, ERRORS, LATE, NEW, OLD, Prometheus, pod

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from allod.domain.serving.canary.contest import Duel

pytestmark = pytest.mark.looptime


@pytest.fixture
async def prometheus() -> AsyncIterator[Prometheus]:
    made = Prometheus()
    yield made
    for task in made.tasks:
        assert not task.done(), task.exception()
        task.cancel()


async def test_nothing_is_asked_for_models_without_objectives(prometheus: Prometheus) -> None:
    assert prometheus.look(pod(), slos=()) == {}
    await prometheus.serve(60)
    assert prometheus.asked == []
    assert prometheus.queries.measurement((pod(),)) is None


@pytest.mark.parametrize("interval", [1, 5, 10, 15, 30, 60])
async def test_however_often_it_scrapes_each_request_counts_once(prometheus: Prometheus, interval: int) -> None:
    prometheus.interval = interval
    prometheus.failing["chat-0"] = 0.05
    prometheus.look(pod())
    await prometheus.serve(400)
    found = prometheus.look(pod())[OLD]["errors"]
    assert found.full
    # Ten a second; a window begins at a scrape, and is thinned by a sixteenth.
    assert 1200 <= found.requests <= 10 * (120 + max(interval, 10) + 8)
    assert found.error_ratio == pytest.approx(0.05, abs=0.001)


async def test_what_is_broken_is_told_once_and_what_is_mended_too(prometheus: Prometheus) -> None:
    prometheus.look(pod())
    await prometheus.serve(200)
    told = len(prometheus.told)
    assert told == 2, "it is scraped; the window is full, and the objective holds"
    prometheus.failing["chat-0"] = 0.05
    await prometheus.serve(300)
    finding = slo_finding((ERRORS,), prometheus.look(pod())[OLD])
    assert finding
    assert finding.message.startswith("errors 0.050 > 0.010 over 2m, 1")
    prometheus.failing["chat-0"] = 0
    await prometheus.serve(300)
    assert slo_finding((ERRORS,), prometheus.look(pod())[OLD]) is None
    assert len(prometheus.told) == told + 2


async def test_one_question_is_for_all_models_and_no_histogram_is_asked_for_that_nobody_wants(prometheus: Prometheus) -> None:
    ours, theirs = pod("chat-0"), pod("mail-0", model="mail")
    prometheus.look(ours, theirs)
    prometheus.queries.of((theirs,), (LATE,))
    await prometheus.serve(100)
    assert {asked[1:] for asked in prometheus.asked[1:]} == {(2, frozenset({"TTFTSeconds"}))}
    assert 9 <= len(prometheus.asked) <= 11
    assert prometheus.queries.of((ours,), (ERRORS,))[OLD]["errors"].times == {}
    assert prometheus.queries.of((theirs,), (LATE,))[OLD]["late"].times["TTFTSeconds"].total > 0


async def test_a_thousand_pods_are_a_few_questions_and_both_revisions_of_a_model_are_in_one(prometheus: Prometheus) -> None:
    pods = [pod(f"m{number}-{side}", model=f"m{number}", revision=side) for number in range(500) for side in (OLD, NEW)]
    prometheus.look(*pods)
    await prometheus.serve(11)
    first = [models for at, models, _ in prometheus.asked if at < 5] or [models for _, models, _ in prometheus.asked[:10]]
    assert first == [SHARE // 2] * 10


async def test_a_pod_that_is_not_scraped_is_not_known_and_never_without_errors(prometheus: Prometheus) -> None:
    prometheus.unscraped.add("chat-1")
    pods = (pod("chat-0"), pod("chat-1"))
    prometheus.look(*pods)
    assert prometheus.measured(*pods) == ("Unknown", "NotScrapedYet")
    await prometheus.serve(60)
    assert prometheus.measured(*pods) == ("True", "Scraped"), "the other one is not late yet"
    await prometheus.serve(140)
    assert prometheus.measured(*pods) == ("False", "NotScraped")
    found = prometheus.queries.measurement(pods)
    assert found
    assert found.missing == ("chat-1",)
    assert prometheus.look(*pods)[OLD]["errors"].requests <= 1400, "one pod's"
    told = len(prometheus.told)
    prometheus.unscraped.clear()
    await prometheus.serve(30)
    assert prometheus.measured(*pods) == ("True", "Scraped")
    assert len(prometheus.told) > told, "it is told"


async def test_scrapes_that_end_make_the_window_unknown(prometheus: Prometheus) -> None:
    prometheus.look(pod())
    await prometheus.serve(200)
    prometheus.unscraped.add("chat-0")
    await prometheus.serve(STALE - 20)
    assert prometheus.look(pod())[OLD]["errors"].full
    await prometheus.serve(50)
    assert not prometheus.look(pod())[OLD]["errors"].full, "though Prometheus still shows the last one"
    assert prometheus.measured(pod()) == ("False", "NotScraped")


async def test_a_counter_that_is_not_scraped_is_named_and_nothing_is_judged_by_its_zeros(prometheus: Prometheus) -> None:
    prometheus.look(pod())
    await prometheus.serve(200)
    prometheus.lacks = "http_requests_total"
    told = len(prometheus.told)
    await prometheus.serve(30)
    assert prometheus.measured(pod()) == ("False", "CounterMissing")
    assert len(prometheus.told) == told + 1
    await prometheus.serve(STALE)
    assert not prometheus.look(pod())[OLD]["errors"].full
    prometheus.lacks = ""
    await prometheus.serve(30)
    assert prometheus.measured(pod()) == ("True", "Scraped")


async def test_a_prometheus_that_goes_away_is_told_after_a_while_and_comes_back(
    prometheus: Prometheus, caplog: pytest.LogCaptureFixture
) -> None:
    prometheus.look(pod(), pod("mail-0", model="mail"))
    await prometheus.serve(200)
    prometheus.told.clear()
    prometheus.away = "Prometheus at URL does not answer: Connection refused"
    await prometheus.serve(AWAY - 15)
    assert prometheus.measured(pod()) == ("True", "Scraped"), "it may only be started anew"
    await prometheus.serve(30)
    assert prometheus.told == ["chat-0", "mail-0"]
    assert prometheus.measured(pod()) == ("False", "PrometheusUnavailable")
    found = prometheus.queries.measurement((pod(),))
    assert found
    assert found.condition().message.startswith("Prometheus at URL does not answer: Connection refused; until it answers, objectives and")
    await prometheus.serve(100)
    assert not prometheus.look(pod(), pod("mail-0", model="mail"))[OLD]["errors"].full
    prometheus.told.clear()
    prometheus.away = ""
    await prometheus.serve(11)
    assert set(prometheus.told) == {"chat-0", "mail-0"}
    assert prometheus.measured(pod()) == ("True", "Scraped")
    assert prometheus.look(pod(), pod("mail-0", model="mail"))[OLD]["errors"].full, "counters went on meanwhile: nothing is lost"
    assert [record.levelname for record in caplog.records if "Prometheus" in record.message] == ["WARNING"]
    assert prometheus.results["unavailable"] >= 13


TOO_MUCH = "Prometheus at URL cannot tell (503 Service Unavailable): timeout: query timed out in expression evaluation"


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        pytest.param(Refused(TOO_MUCH), "PrometheusRefuses", id="Prometheus refuses it"),
        pytest.param(Unanswered("nothing came within 8 s"), "PrometheusUnavailable", id="no answer comes in time"),
    ],
)
async def test_a_question_without_an_answer_blinds_only_the_models_that_are_in_it(
    prometheus: Prometheus, problem: Unavailable, reason: str
) -> None:
    large, small = [pod(f"big-{number}", model="big") for number in range(SHARE)], [pod("chat-0"), pod("chat-1")]
    prometheus.look(*large, *small)
    prometheus.queries.of(tuple(large), (ERRORS,))
    prometheus.queries.of(tuple(small), (ERRORS,))
    prometheus.refused["big"] = problem
    await prometheus.serve(150)
    assert prometheus.measured(*small) == ("True", "Scraped")
    assert prometheus.measured(*large) == ("False", reason)
    assert prometheus.told.count("big-0") == 2, "that it is not told, and that its pods are missing"
    prometheus.refused.clear()
    await prometheus.serve(40)
    assert prometheus.measured(*large) == ("True", "Scraped")


async def test_where_nobody_answers_no_other_question_is_asked_in_that_round(prometheus: Prometheus) -> None:
    prometheus.look(*[pod(f"m{number}-0", model=f"m{number}") for number in range(2 * SHARE)])
    prometheus.away = "Prometheus at URL does not answer: Connection refused"
    await prometheus.serve(AWAY + 15)
    assert all(models == SHARE for _, models, _ in prometheus.asked)
    assert 4 <= len(prometheus.asked) <= 6
    assert prometheus.measured(pod(f"m{2 * SHARE - 1}-0", model=f"m{2 * SHARE - 1}")) == ("False", "PrometheusUnavailable")


async def test_a_slow_prometheus_gets_one_question_at_a_time_and_rests(prometheus: Prometheus) -> None:
    prometheus.slow = 30
    prometheus.look(pod())
    await prometheus.serve(320)
    assert 9 <= len(prometheus.asked) <= 12
    prometheus.look(pod())


async def test_models_that_go_while_prometheus_thinks_are_no_trouble(prometheus: Prometheus) -> None:
    pods = [pod(f"m{number}-0", model=f"m{number}") for number in range(2 * SHARE)]
    prometheus.slow = 5
    prometheus.look(*pods)
    await prometheus.serve(3)
    for each in pods[1:]:
        prometheus.queries.forget(ref(each))
    await prometheus.serve(100)
    assert prometheus.measured(pods[0]) == ("True", "Scraped")


async def test_two_causes_that_take_turns_are_told_once_and_a_new_one_that_stays_is_told(prometheus: Prometheus) -> None:
    prometheus.look(pod())
    await prometheus.serve(130)
    prometheus.told.clear()
    for number in range(20):
        prometheus.away = f"cause {number % 2}"
        await prometheus.serve(10)
    told = len(prometheus.told)
    assert told <= 3, "that it is away, that nothing is judged any more, and that its pod is missing"
    prometheus.away = "another cause"
    await prometheus.serve(30)
    assert len(prometheus.told) == told + 1
    found = prometheus.queries.measurement((pod(),))
    assert found
    assert found.trouble == "another cause"


async def test_the_first_figures_are_told_long_before_the_window_is_full(prometheus: Prometheus) -> None:
    prometheus.look(pod())
    assert prometheus.measured(pod()) == ("Unknown", "NotScrapedYet")
    await prometheus.serve(31)
    assert prometheus.told == ["chat-0"]
    assert prometheus.measured(pod()) == ("True", "Scraped")


async def test_a_bug_of_ours_ends_neither_the_questions_nor_the_operator(prometheus: Prometheus, caplog: pytest.LogCaptureFixture) -> None:
    prometheus.look(pod())
    prometheus.away = "a bug"
    await prometheus.serve(60)
    assert "a round of questions to Prometheus failed" in caplog.text
    prometheus.away = ""
    await prometheus.serve(60)
    assert prometheus.measured(pod()) == ("True", "Scraped")


async def test_of_a_prometheus_that_was_away_before_there_were_models_nothing_is_said(prometheus: Prometheus) -> None:
    prometheus.look(pod())
    prometheus.away = "Prometheus at URL does not answer: Connection refused"
    await prometheus.serve(60)
    prometheus.queries.forget(ref(pod()))
    await prometheus.serve(20)
    prometheus.away = ""
    prometheus.look(pod(uid="u2"))
    assert prometheus.measured(pod(uid="u2")) == ("Unknown", "NotScrapedYet")


async def test_a_restarted_engine_is_not_counted_backwards(prometheus: Prometheus) -> None:
    prometheus.look(pod())
    await prometheus.serve(200)
    before = prometheus.look(pod())[OLD]["errors"].requests
    prometheus.counted_["chat-0"][:] = [0.0, 0.0]
    await prometheus.serve(45)
    after = prometheus.look(pod())[OLD]["errors"].requests
    assert 0.8 * before <= after <= 1.1 * before


async def test_a_scrape_of_an_older_pod_of_the_name_is_not_the_new_ones(prometheus: Prometheus) -> None:
    prometheus.look(pod())
    await prometheus.serve(200)
    prometheus.unscraped.add("chat-0")
    prometheus.look(pod(uid="u2"))
    await prometheus.serve(60)
    found = prometheus.queries.measurement((pod(uid="u2"),))
    assert found
    assert found.known == ()


async def test_a_pod_that_does_not_serve_is_not_missing(prometheus: Prometheus) -> None:
    prometheus.look(pod())
    await prometheus.serve(200)
    prometheus.unscraped.add("chat-0")
    prometheus.look(pod(ready=False))
    await prometheus.serve(200)
    assert prometheus.measured(pod(ready=False)) == ("Unknown", "NotScrapedYet")


async def test_a_pod_that_serves_again_has_the_time_of_a_new_one_to_be_scraped(prometheus: Prometheus) -> None:
    prometheus.look(pod())
    await prometheus.serve(200)
    prometheus.unscraped.add("chat-0")
    prometheus.look(pod(ready=False))
    await prometheus.serve(300)
    prometheus.look(pod())
    await prometheus.serve(STALE - 15)
    assert prometheus.measured(pod()) == ("Unknown", "NotScrapedYet")
    await prometheus.serve(30)
    assert prometheus.measured(pod()) == ("False", "NotScraped")


@pytest.mark.parametrize("how", ["forget", "find out"])
async def test_a_pod_that_is_gone_leaves_nothing_behind(prometheus: Prometheus, how: str) -> None:
    prometheus.look(pod())
    await prometheus.serve(30)
    prometheus.pods.clear()
    if how == "forget":
        prometheus.queries.forget(ref(pod()))
    await prometheus.serve(30)
    asked = len(prometheus.asked)
    await prometheus.serve(60)
    assert len(prometheus.asked) == asked
    assert prometheus.queries.measurement((pod(),)) is None


async def test_both_sides_of_a_canary_are_counted_over_the_same_time_and_the_worse_one_loses(prometheus: Prometheus) -> None:
    pods = (pod("new-0", revision=NEW), pod("old-0"), pod("old-1"))
    pair = Pair("ai", "chat", NEW, OLD, (COMPARED,), 50)

    def duel() -> Duel | None:
        prometheus.pods.clear()
        prometheus.pods.update({ref(each): each for each in pods})
        prometheus.queries.of(pods, (), pair.rules)
        return prometheus.queries.duel(pair)

    duel()
    await prometheus.serve(200)
    found = duel()
    assert found
    (contest,) = found.contests.values()
    assert contest.old.requests == pytest.approx(2 * contest.new.requests, rel=0.15)
    assert found.lost(50) is None
    prometheus.failing["new-0"] = 0.3
    await prometheus.serve(100)
    found = duel()
    assert found
    assert found.lost(50)
