from __future__ import annotations

import re

import yaml

from allod.api.admission import violations
from allod.render.merge import merge
from support.helm import CHART, MINIMAL, ROOT, Helm
from tutorial.page import File, steps

PAGE = (ROOT / "docs" / "install.md").read_text()


def table_after(heading: str) -> list[list[str]]:
    """Rows of the first table under a heading of docs/install.md, without its head, as cells."""
    _, _, rest = PAGE.partition(f"\n{heading}\n")
    rows = re.search(r"(?:^\|.*\n)+", rest, re.MULTILINE)
    assert rows, heading
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[0].splitlines()[2:]]


def test_the_page_lists_the_operators_rights_as_they_are(helm: Helm) -> None:
    role = next(each for each in helm.template(MINIMAL) if each["kind"] == "ClusterRole" and each["metadata"]["name"] == "allod")
    granted = {
        f"{resource}.{group}".rstrip("."): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    told = {
        name: set(re.findall(r"\w+", verbs))
        for names, verbs, _ in table_after("### Of the operator")
        for name in re.findall(r"`(.+?)`", names)
    }
    assert told == granted


def test_the_page_lists_the_roles_for_people_and_where_they_are_added(helm: Helm) -> None:
    added = {
        role["metadata"]["name"]: next(label for label in role["metadata"]["labels"] if "aggregate-to-" in label).rpartition("-")[2]
        for role in helm.template(MINIMAL)
        if role["kind"] == "ClusterRole" and role["metadata"]["name"] != "allod"
    }
    assert {name.strip("`"): into.strip("`") for name, _, into, _ in table_after("### For people")} == added


def test_the_page_names_only_values_that_exist() -> None:
    readme = (CHART / "README.md").read_text()
    named = set(re.findall(r"--set '?([\w.]+)=", PAGE)) | {
        name for row in table_after("## Values") for name in re.findall(r"`(.+?)`", row[0])
    }
    assert {"image.repository", "namespaces", "rbac.people"} <= named
    assert [name for name in sorted(named) if f"| `{name}` |" not in readme] == []


def test_the_images_that_the_page_tells_to_mirror_are_those_of_the_chart() -> None:
    mirrored = re.findall(r"image: registry\.example\.com/(\S+)", PAGE)
    assert mirrored == [image.partition("/")[2] for image in re.findall(r"image: (\S+/\S+)", (CHART / "values.yaml").read_text())]


def test_the_models_on_the_page_are_taken_as_they_stand_there() -> None:
    written = {step.name: yaml.safe_load(step.text) for step in steps(PAGE) if isinstance(step, File)}
    cached = written.pop("cached.yaml")
    models = [each for each in written.values() if each["kind"] == "ModelDeployment"]
    assert len(models) == 2
    models.append(merge(written["mirror.yaml"], cached))
    assert len(models[-1]["spec"]["engine"]["env"]) == 3
    assert [violation for model in models for violation in violations(model)] == []
