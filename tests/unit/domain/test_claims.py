"""Who keeps a name: every pair of claims, from both sides."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from allod.domain.serving.claim import Claim, Held, held, served_names, taken

STAGES = (Held(), Held(frozenset({"x"})), Held(frozenset({"x"}), served=True))
SECONDS = ("2026-11-20T00:00:00Z", "2026-11-20T00:00:01Z")
X = frozenset({"x"})
CLAIMS = [Claim(name, created, X, stage) for name, created, stage in product("abc", SECONDS, STAGES)]
ADVICE = "give this model another model.servedName or other aliases"


def test_of_any_models_exactly_one_keeps_a_name_whoever_looks_and_in_whatever_order() -> None:
    for three in product(*([claim for claim in CLAIMS if claim.name == name] for name in "abc")):
        keeps = {tuple(each.name for each in order if taken(each, X, order) is None) for order in permutations(three)}
        assert {len(each) for each in keeps} == {1}
        assert len(keeps) == 1


def test_nobody_who_serves_is_moved_aside_by_one_that_does_not() -> None:
    for mine, other in product(CLAIMS, CLAIMS):
        if mine.name != other.name and mine.held.served and not other.held.served:
            assert taken(mine, X, [other]) is None
            assert taken(other, X, [mine]) is not None


OLD, NEW = SECONDS
SENTENCES = {
    "older": (Claim("b", NEW, X), [Claim("c", OLD, X)], "c claims x too and is older"),
    "the same second": (Claim("b", OLD, X), [Claim("a", OLD, X)], "a claims x too, is of the same second, and comes first by name"),
    "younger, and serves": (Claim("b", OLD, X), [Claim("c", NEW, X, STAGES[2])], "c already serves x"),
    "younger, and was started": (Claim("b", OLD, X), [Claim("c", NEW, X, STAGES[1])], "c was already started as x"),
    "both serve": (Claim("b", NEW, X, STAGES[2]), [Claim("c", OLD, X, STAGES[2])], "c already serves x too and is older"),
    "the first of two": (Claim("c", OLD, X), [Claim("b", OLD, X), Claim("a", OLD, X)], "a claims x too, is of the same second, and"),
    "two names": (Claim("b", NEW, frozenset("xyz")), [Claim("c", OLD, frozenset("yx"))], "c claims x, y too and is older"),
    "a name that its spec no longer asks for": (Claim("b", OLD, X), [Claim("c", NEW, frozenset("y"), STAGES[2])], "c already serves x"),
}


@pytest.mark.parametrize("case", SENTENCES)
def test_the_sentence_says_who_keeps_the_name_and_why(case: str) -> None:
    mine, others, says = SENTENCES[case]
    found = taken(mine, mine.asks, others)
    assert found is not None
    assert found.message.startswith(says)
    assert found.message.endswith(f": {ADVICE}")


def test_a_name_that_a_former_standby_lists_may_be_had_by_naming_it_again() -> None:
    found = taken(Claim("b", NEW, X), X, [Claim("small", OLD, X | {"small"}, STAGES[2])])
    assert found is not None
    assert found.message == f"small already serves x: {ADVICE}, or name small in standby if it is to answer for this one"


@pytest.mark.parametrize(
    "others",
    [[Claim("c", NEW, X)], [Claim("c", OLD, frozenset("y"))], [Claim("s", OLD, X)], [Claim("p", OLD, X, standby="b")], []],
    ids=["a younger one", "other names", "its own standby", "whose standby it is", "nobody"],
)
def test_a_name_is_free(others: list[Claim]) -> None:
    assert taken(Claim("b", OLD, X, standby="s"), X, others) is None


SNAPSHOT = {"model": {"servedName": "qwen", "aliases": ["legal"]}}
NAMES = frozenset({"qwen", "legal"})


@pytest.mark.parametrize(
    ("told", "serves"),
    [
        ({"state": "Starting"}, False),
        ({"state": "Ready"}, True),
        ({"state": "Starting", "readySince": OLD}, True),
        ({"state": "Failed", "goodSince": OLD}, True),
        ({"state": "Failed"}, False),
    ],
)
def test_what_a_model_holds_is_what_its_home_was_started_under(told: dict[str, str], serves: bool) -> None:  # noqa: FBT001  # a case's outcome
    status = {"activeRevision": "aa", "revisions": [{"name": "bb", "state": "Good"}, {"name": "aa"} | told]}
    assert held("chat", status, SNAPSHOT) == Held(NAMES, served=serves)


def test_a_model_without_a_home_holds_nothing_and_one_without_a_served_name_has_its_own() -> None:
    assert held("chat", {}, SNAPSHOT) == Held()
    assert served_names("chat", {"model": {"aliases": None}}) == frozenset({"chat"})
    assert served_names("chat", {}) == frozenset({"chat"})
