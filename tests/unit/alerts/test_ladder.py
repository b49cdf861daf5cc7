"""Which alert a person gets at which step of the ladder: the rules in promtool, minute by minute."""

from __future__ import annotations

import pytest

from support.promtool import Promtool, Story
from support.rules import rule_of, scraped, told

LONG = 200
"""Samples: 50 minutes."""
HEALTHY = {
    told("Ready", "True", "Serving"): f"1x{LONG}",
    told("Progressing", "False", "Complete"): f"1x{LONG}",
    told("Degraded", "False", "AsExpected"): f"1x{LONG}",
    told("GPUsAvailable", "True", "Reserved"): f"1x{LONG}",
    told("StandbyReady", "True", "Serving"): f"1x{LONG}",
    told("FailedOver", "False", "AtHome"): f"1x{LONG}",
    scraped("up"): f"1x{LONG}",
}
"""Other answers stand beside these in a story; only the failing ones are read."""
SERVING = told("Ready", "True", "Serving")
NOTHING: set[str] = set()
DOWN, LOST, TOO_LONG, AWAY_TOO_LONG = (
    "page AllodModelDown",
    "page AllodModelLost",
    "page AllodDegradedTooLong",
    "page AllodOnStandbyTooLong",
)
DEGRADED, AWAY = "warning AllodDegraded", "warning AllodFailedOver"


def story(name: str, changed: dict[str, str], **fires: set[str]) -> Story:
    """Keywords are minutes: `m5={...}`. A series with an empty value is left out."""
    series = {each: values for each, values in (HEALTHY | changed).items() if values}
    return Story(name, series, {f"{minute[1:]}m": fired for minute, fired in fires.items()})


STORIES = (
    story("nothing is wrong", {}, m1=NOTHING, m49=NOTHING),
    story(
        "nobody answers, for ten minutes",
        {
            SERVING: "1x19 stale _x39 1x100",
            told("Ready", "False", "CrashLoop"): "_x20 1x39 stale",
            told("Degraded", "True", "CrashLoop"): "_x20 1x39 stale",
        },
        m5=NOTHING,
        m6={DEGRADED},
        m7={DEGRADED, DOWN},
        m14={DEGRADED, DOWN},
        m15=NOTHING,
    ),
    story(
        "nobody answers, and the reason changes each minute",
        {SERVING: "", **{told("Ready", "False", f"Reason{n}"): f"_x{4 * n} 1x3 stale" for n in range(10)}},
        m1=NOTHING,
        m3={DOWN},
        m9={DOWN},
    ),
    story("it was put to sleep", {SERVING: "", told("Ready", "False", "ScaledToZero"): f"1x{LONG}"}, m49=NOTHING),
    story(
        "it wakes from no replicas, for longer than a page waits",
        {SERVING: "", told("Ready", "False", "Waking"): f"1x{LONG}", told("Degraded", "True", "PodsNotReady"): f"1x{LONG}"},
        m49=NOTHING,
    ),
    story("a person mistyped an annotation", {told("Degraded", "True", "UnknownRevision"): f"1x{LONG}"}, m49=NOTHING),
    story("it starts for the first time", {SERVING: "", told("Ready", "False", "Starting"): f"1x{LONG}"}, m49=NOTHING),
    story(
        "the standby answers for twenty minutes",
        {
            told("FailedOver", "True", "FailedOver"): "_x20 1x79 stale",
            told("Degraded", "True", "EngineGone"): "_x20 1x79 stale",
            told("Progressing", "True", "EngineGone"): "_x20 1x79 stale",
        },
        m4=NOTHING,
        m5={AWAY},
        m6={AWAY, DEGRADED},
        m19={AWAY, DEGRADED},
        m20={AWAY, DEGRADED, AWAY_TOO_LONG, TOO_LONG},
        m25=NOTHING,
    ),
    story("the standby is tried by a drill", {told("FailedOver", "True", "Drill"): f"1x{LONG}"}, m49=NOTHING),
    story("a rollout moved traffic to the standby", {told("FailedOver", "True", "HandedOff"): f"1x{LONG}"}, m49=NOTHING),
    story(
        "it came back and failed again and again",
        {told("FailedOver", "True", "Flapping"): f"1x{LONG}", told("Degraded", "True", "Flapping"): f"1x{LONG}"},
        m2={AWAY, "warning AllodFlapping"},
        m16={AWAY, "warning AllodFlapping", AWAY_TOO_LONG, TOO_LONG},
    ),
    story(
        "a revision was given up while the one before it serves",
        {told("Progressing", "False", "RevisionFailed"): f"1x{LONG}", told("Degraded", "True", "CrashLoop"): f"1x{LONG}"},
        m1={"warning AllodRolloutFailed"},
        m49={"warning AllodRolloutFailed"},
    ),
    story(
        "no GPUs are free for a new revision",
        {
            told("Progressing", "True", "InsufficientGPUs"): f"1x{LONG}",
            told("Degraded", "True", "InsufficientGPUs"): f"1x{LONG}",
            told("GPUsAvailable", "False", "InsufficientGPUs"): f"1x{LONG}",
        },
        m4=NOTHING,
        m6={"warning AllodGPUsMissing"},
        m35={"warning AllodGPUsMissing", "warning AllodRolloutStalled"},
    ),
    story("a cold standby", {told("StandbyReady", "False", "StandbyCold"): f"1x{LONG}"}, m49=NOTHING),
    story(
        "a standby without pods",
        {told("StandbyReady", "False", "StandbyNotReady"): f"1x{LONG}"},
        m4=NOTHING,
        m6={"warning AllodStandbyNotReady"},
    ),
    story("a person went back to an older revision", {told("Degraded", "True", "RolledBackByHand"): f"1x{LONG}"}, m49=NOTHING),
    story(
        "the operator is away",
        {each: "1x20" for each in HEALTHY if each.startswith("allod_condition")},
        m5=NOTHING,
        m49={"warning AllodOperatorSilent"},
    ),
    story(
        "the operator and the engines are away",
        dict.fromkeys(HEALTHY, "1x20 stale"),
        m5=NOTHING,
        m9=NOTHING,
        m11={"warning AllodOperatorSilent"},
        m21={"warning AllodOperatorSilent", LOST},
    ),
    story("it serves and nobody scrapes it", {scraped("up"): f"0x{LONG}"}, m9=NOTHING, m11={"warning AllodNotScraped"}),
    story(
        "the operator asks a Prometheus that does not answer it",
        {told("Measured", "False", "PrometheusUnavailable"): f"1x{LONG}"},
        m9=NOTHING,
        m11={"warning AllodNotMeasured"},
    ),
    story("the operator asks a Prometheus", {told("Measured", "True", "Scraped"): f"1x{LONG}"}, m49=NOTHING),
    story(
        "another model is down",
        {told("Ready", "False", "CrashLoop").replace('name="chat"', 'name="other"'): f"1x{LONG}"},
        m49=NOTHING,
    ),
)


def test_the_ladder_fires_step_by_step_and_comes_down_again(promtool: Promtool) -> None:
    promtool.test(rule_of(rollout={"progressDeadline": "30m"}), STORIES)


def test_a_story_that_tells_something_else_fails(promtool: Promtool) -> None:
    wrong = story("nothing fires when nobody answers", {told("Ready", "False", "CrashLoop"): f"1x{LONG}"}, m5=NOTHING)
    with pytest.raises(AssertionError, match="AllodModelDown"):
        promtool.test(rule_of(), [wrong])


def test_nothing_waits_longer_than_the_page(promtool: Promtool) -> None:
    gone = story(
        "nobody answers",
        {SERVING: "", told("Ready", "False", "CrashLoop"): f"1x{LONG}", told("Degraded", "True", "CrashLoop"): f"1x{LONG}"},
    )
    pages = {DOWN, TOO_LONG, DEGRADED}
    promtool.test(rule_of(health={"page": {"after": "15s"}}), [Story(gone.name, gone.series, {"0s": NOTHING, "15s": pages, "5m": pages})])


def test_the_page_says_in_sentences_what_is_wrong_and_what_to_do(promtool: Promtool) -> None:
    series = HEALTHY | {SERVING: "_x200", told("Ready", "False", "OutOfMemory"): f"1x{LONG}"}
    expected = {
        "exp_labels": {"severity": "page", "level": "model", "namespace": "ai", "model": "chat"},
        "exp_annotations": {
            "summary": "Model ai/chat does not serve: nobody answers its clients.",
            "description": "The reason is OutOfMemory. kubectl describe mdl chat -n ai tells it in sentences; "
            "docs/troubleshooting.md has a section of that name.",
        },
    }
    alert = {"eval_time": "5m", "alertname": "AllodModelDown", "exp_alerts": [expected]}
    promtool.test(rule_of(), [Story("nobody answers", series, {}, [alert])])


@pytest.mark.parametrize(
    ("changes", "without"),
    [
        ({"standby": None}, {"AllodFailedOver", "AllodFlapping", "AllodStandbyNotReady", "AllodOnStandbyTooLong"}),
        ({"resources": {"memory": "8Gi"}}, {"AllodGPUsMissing"}),
        ({"replicas": 0}, {"AllodModelLost"}),
        ({"health": {"page": {"after": "15m"}}}, {"AllodNotMeasured", "AllodFirstTokenLate"}),
        ({"monitoring": {"podMonitor": False}}, {"AllodModelLost", "AllodNotScraped"}),
    ],
    ids=["no standby", "no GPU", "no replica", "no objectives", "no PodMonitor"],
)
def test_what_a_model_does_not_have_has_no_alert(changes: dict[str, object], without: set[str]) -> None:
    def names(rule: dict[str, object]) -> set[str]:
        return {each["alert"] for each in rule["spec"]["groups"][0]["rules"] if "alert" in each}  # type: ignore[index]  # a manifest

    assert names(rule_of()) - names(rule_of(**changes)) == without
