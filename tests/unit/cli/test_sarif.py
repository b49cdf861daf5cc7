from __future__ import annotations

import json
from pathlib import Path

import pytest

from admission.shape_cases import SHAPE_CASES
from admission.table import CASES
from allod.cli.main import main
from allod.cli.rules import OWN, about
from unit.cli.article import ARTICLE, GPU_COUNT


@pytest.mark.usefixtures("folder")
def test_sarif_is_what_code_review_reads(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "-o", "sarif", "article.yaml"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    assert run["tool"]["driver"]["name"] == "allod"
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["gpu-count", "ignored", "unknown-flag"]
    assert run["results"][2] == {
        "ruleId": "gpu-count",
        "ruleIndex": 0,
        "level": "error",
        "message": {"text": GPU_COUNT},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": "article.yaml"}, "region": {"startLine": 17}}}],
    }


@pytest.mark.usefixtures("folder")
def test_sarif_names_files_as_a_forge_finds_them(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a b").mkdir()
    Path("a b", "ü.yaml").write_text(ARTICLE)
    outside = Path("..", "outside.yaml")
    outside.write_text(ARTICLE)
    inside = Path("article.yaml").absolute()
    assert main(["lint", "-o", "sarif", "./article.yaml", str(inside), "a b/ü.yaml", str(outside), "absent.yaml"]) == 2
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    places = [found["locations"][0]["physicalLocation"]["artifactLocation"] for found in run["results"]]
    uris = list(dict.fromkeys(place["uri"] for place in places))
    assert uris == ["article.yaml", "a%20b/%C3%BC.yaml", outside.resolve().as_uri(), "absent.yaml"]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[found["ruleIndex"]]["id"] == found["ruleId"] for found in run["results"])
    assert {rule["id"]: rule["shortDescription"]["text"] for rule in rules}["unreadable"] == about("unreadable")
    assert run["invocations"] == [{"executionSuccessful": False}]


def test_every_rule_has_its_sentence() -> None:
    named = {case.rule for case in CASES}
    assert all(about(name) for name in named | {case.rule for case in SHAPE_CASES} | set(OWN))
    assert not named & set(OWN)
