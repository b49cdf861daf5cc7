"""What files may hold: Lists, comments, broken documents beside good ones, keys that stand twice, folders, nothing at all."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from allod.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable

    Lint = Callable[..., tuple[int, list[tuple[str, int, str, str]]]]

GOOD = """\
apiVersion: allod.dev/v1alpha1
kind: ModelDeployment
metadata:
  name: chat
spec:
  model: {uri: pvc://m/x.gguf}
  engine: {type: LlamaCpp}
  resources: {memory: 1Gi}
"""
BAD = GOOD.replace("1Gi", "1Z").replace("chat", "bad")
"""One error, on its line 8."""
OTHER = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
SHAPE = "an amount of memory is a number with its unit, Ki, Mi, Gi, Ti or k, M, G, T: 80Gi, 512Mi"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def lint(capsys: pytest.CaptureFixture[str]) -> Lint:
    """Exit code, then file, line, rule and sentence of each finding."""

    def run(*words: str) -> tuple[int, list[tuple[str, int, str, str]]]:
        code = main(["lint", "-o", "json", *words])
        found = json.loads(capsys.readouterr().out)
        return code, [(each["file"], each["line"], each["rule"], each["message"]) for each in found]

    return run


def indented(text: str) -> str:
    return "- " + text.replace("\n", "\n  ").rstrip() + "\n"


LISTS = {
    "v1 List": ("apiVersion: v1\nkind: List\nitems:\n" + indented(OTHER) + indented(BAD), 14),
    "a List of one of our kinds": ("apiVersion: allod.dev/v1alpha1\nkind: ModelDeploymentList\nitems:\n" + indented(BAD), 11),
    "the items alone say no kind": (
        "apiVersion: allod.dev/v1alpha1\nkind: ModelDeploymentList\nitems:\n" + indented("".join(BAD.splitlines(keepends=True)[2:])),
        9,
    ),
    "a List after another document": (GOOD + "---\nkind: List\napiVersion: v1\nitems:\n" + indented(BAD), 20),
    "a List in JSON": (json.dumps({"apiVersion": "v1", "kind": "List", "items": [yaml.safe_load(BAD)]}), 1),
}


@pytest.mark.parametrize("what", LISTS)
def test_items_of_a_list_count_as_if_they_stood_alone(what: str, lint: Lint) -> None:
    text, line = LISTS[what]
    Path("x.yaml").write_text(text)
    code, found = lint("x.yaml")
    assert code == 1
    wanted = ("x.yaml", line, "memory-shape", f"spec.resources.memory: it is 1Z, and {SHAPE}")
    assert [each for each in found if each[2] != "ignored"] == [wanted]


NO_LISTS = {
    "items: 5": "a List has its manifests in items, as a list",
    "": "a List has its manifests in items, as a list",
    "items: [5]": "a manifest is a map with apiVersion, kind, metadata and spec",
    "items: [{apiVersion: v1, kind: List, items: []}]": "a List stands in a List: put its items into the outer one",
    "items: []\nitems: [{}]": "items is written twice, first on line 3: keep one of them",
}


@pytest.mark.parametrize("items", NO_LISTS)
def test_a_list_that_is_none_is_said(items: str, lint: Lint) -> None:
    Path("x.yaml").write_text(f"apiVersion: v1\nkind: List\n{items}\n")
    code, found = lint("x.yaml")
    assert code == 1
    assert found[0][3] == NO_LISTS[items]


def test_an_empty_list_is_nothing(lint: Lint) -> None:
    Path("x.yaml").write_text("apiVersion: v1\nkind: List\nitems: []\n---\napiVersion: v1\nkind: List\nitems: null\n")
    assert lint("x.yaml") == (0, [])


TWICE = {
    "in the spec": (GOOD + "  replicas: 2\n  replicas: 3\n", 10, "spec.replicas is written twice, first on line 9: keep one of them"),
    "deeper": (GOOD.replace("{type: LlamaCpp}", "{type: vLLM, type: LlamaCpp}"), 7, "spec.engine.type is written twice, first on line 7: "),
    "in a list": (
        GOOD.replace("LlamaCpp}", "LlamaCpp, env: [{name: A, value: b, name: C}]}"),
        7,
        "spec.engine.env[0].name is written twice",
    ),
    "a section": (GOOD + "  resources: {memory: 2Gi}\n", 9, "spec.resources is written twice, first on line 8: keep one of them"),
    "two manifests": (GOOD + GOOD, 9, "apiVersion is written twice, first on line 1: a line --- is missing between two manifests"),
    "in the second document": (GOOD + "---\n" + GOOD + "spec: {}\n", 18, "spec is written twice, first on line 14: keep one of them"),
    "in JSON": (
        '{"apiVersion": "allod.dev/v1alpha1",\n"kind": "x",\n"spec": {}, "spec": {}}',
        3,
        "spec is written twice, first on line 3: ",
    ),
}


@pytest.mark.parametrize("where", TWICE)
@pytest.mark.parametrize("command", ["lint", "plan", "render"])
def test_a_key_that_stands_twice_is_refused_with_its_line(where: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text, line, says = TWICE[where]
    Path("x.yaml").write_text(text)
    assert main([command, "x.yaml"]) == 1
    told = capsys.readouterr()
    said = told.err if command == "render" else told.out
    assert f"x.yaml:{line}" in said
    assert f"duplicate-key  {says}" in said
    assert "replica  " not in told.out or where == "in the second document", "nobody knows what it would take"


def test_a_key_that_a_merge_brings_too_stands_there_once(lint: Lint) -> None:
    Path("x.yaml").write_text("x: &x {memory: 1Gi, cpu: 1}\n---\n" + GOOD)
    merged = GOOD.replace("{memory: 1Gi}", "\n    <<: {memory: 1Gi, cpu: 1}\n    memory: 2Gi")
    Path("y.yaml").write_text(merged)
    code, found = lint("x.yaml", "y.yaml")
    assert code == 0
    assert [each[2] for each in found] == ["ignored", "duplicate-object"]


BROKEN = {
    "a: [\n": "did not find expected node content",
    "a:\n\t- b\n": "a line is indented with a tab, and YAML knows spaces alone",
    "a: *b\n": "found undefined alias",
    "a: \x01\n": "control characters are not allowed",
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_document_that_is_not_yaml_hides_nothing_of_the_others(broken: str, lint: Lint) -> None:
    Path("x.yaml").write_text("---\n" + BAD + "---\n" + broken + "---\n" + BAD.replace("name: bad", "name: worse"))
    code, found = lint("x.yaml")
    assert code == 1
    assert [(line, rule) for _, line, rule, _ in found if rule != "yaml"] == [
        (9, "memory-shape"),
        (12 + broken.count("\n") + 7, "memory-shape"),
    ]
    assert [(message, 10 < line <= 13) for _, line, rule, message in found if rule == "yaml"] == [
        (f"this is not YAML: {BROKEN[broken]}", True)
    ]


def test_a_file_that_is_missing_is_one_finding_of_all(lint: Lint) -> None:
    Path("bad.yaml").write_text(BAD)
    Path("latin.yaml").write_bytes(b"a: 1\nb: \xe4\n")
    code, found = lint("absent.yaml", "bad.yaml", "latin.yaml", "bad.yaml")
    assert code == 2
    assert found == [
        ("absent.yaml", 1, "unreadable", "it cannot be read: No such file or directory"),
        ("bad.yaml", 8, "memory-shape", f"spec.resources.memory: it is 1Z, and {SHAPE}"),
        ("latin.yaml", 2, "yaml", "this is not YAML: it is no text in UTF-8"),
    ]


@pytest.mark.parametrize("command", ["plan", "render"])
def test_plan_and_render_tell_of_a_missing_file_too(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("good.yaml").write_text(GOOD)
    assert main([command, "good.yaml", "absent.yaml"]) == 2
    told = capsys.readouterr()
    assert "absent.yaml:1  error    unreadable  it cannot be read: No such file or directory\n" in told.out + told.err
    assert "kind: StatefulSet" not in told.out


def test_a_folder_is_its_manifests_and_with_r_those_of_its_folders_too(lint: Lint) -> None:
    for file in ("d/b.yaml", "d/a.yml", "d/c.json", "d/notes.txt", "d/deep/e.yaml", "empty/notes.txt"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(BAD.replace("name: bad", f"name: {Path(file).stem}"))
    assert [each[0] for each in lint("d")[1]] == ["d/a.yml", "d/b.yaml", "d/c.json"]
    assert [each[0] for each in lint("d/", "-R")[1]] == ["d/a.yml", "d/b.yaml", "d/c.json", "d/deep/e.yaml"]
    assert lint("empty") == (2, [("empty", 1, "unreadable", "the folder has no *.yaml, *.yml, *.json")])


HELM = f"""\
---
# Source: app/templates/empty.yaml
---
# Source: app/templates/web.yaml
{OTHER}---
# Source: app/templates/chat.yaml
{GOOD}---

--- # an end
"""


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_what_helm_writes_is_read(ending: str, lint: Lint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(HELM.replace("\n", ending)))
    ignored = "1 object of no kind of allod.dev was not looked at: Deployment"
    assert lint("-") == (0, [("stdin", 5, "ignored", ignored)])
    monkeypatch.setattr(sys, "stdin", io.StringIO("\ufeff" + HELM.replace("1Gi", "1Z").replace("\n", ending)))
    assert lint("-")[1][1][:3] == ("stdin", 17, "memory-shape")


def test_objects_of_other_kinds_are_one_note_for_each_file(lint: Lint) -> None:
    kinds = [f"apiVersion: v1\nkind: K{number}\n" for number in range(7)]
    Path("x.yaml").write_text("---\n".join([*kinds, kinds[0], "a: 1\n"]))
    says = "9 objects of no kind of allod.dev were not looked at: K0, K1, K2, K3, K4 and 3 more"
    assert lint("x.yaml") == (0, [("x.yaml", 1, "ignored", says)])


@pytest.mark.parametrize(
    ("first", "says"),
    [
        ("apiVersion: allod.dev/v1", "allod.dev has no version v1: write apiVersion: allod.dev/v1alpha1"),
        ("apiVersion: alod.dev/v1alpha1", "allod.dev has no version alod.dev/v1alpha1: write apiVersion: allod.dev/v1alpha1"),
        ("apiversion: allod.dev/v1alpha1", "apiVersion is missing: write apiVersion: allod.dev/v1alpha1"),
    ],
)
def test_a_group_with_a_slip_of_the_pen_is_not_passed_over(first: str, says: str, lint: Lint) -> None:
    Path("x.yaml").write_text(GOOD.replace("apiVersion: allod.dev/v1alpha1", first))
    code, found = lint("x.yaml")
    assert (code, found[0][2:]) == (1, ("kind", says))


def test_a_check_that_looked_at_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.yaml").write_text("# nothing\n")
    assert main(["lint", "x.yaml"]) == 0
    assert capsys.readouterr().out == "0 errors, 0 warnings in 0 ModelDeployments; nothing was sent to a cluster\n"


CRUEL: dict[str, Any] = {
    "nested": f"x: {'[' * 900}{']' * 900}",
    "in itself": "x: &x [*x]",
    "a map as a key": "{a: b}: c",
    "a name that is a number": "metadata: {name: 5, labels: [a]}\nspec: {model: {uri: 7}, engine: 3}",
    "a list as spec": "spec: []",
    "nothing but null": "spec: null\nmetadata: null",
}


@pytest.mark.parametrize("what", CRUEL)
@pytest.mark.parametrize("command", ["lint", "plan", "render"])
def test_whatever_stands_in_a_file_is_told_and_ends_no_command(what: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.yaml").write_text(f"apiVersion: allod.dev/v1alpha1\nkind: ModelDeployment\n{CRUEL[what]}\n")
    assert main([command, "x.yaml"]) == 1
    told = capsys.readouterr()
    assert "x.yaml:" in told.out + told.err
