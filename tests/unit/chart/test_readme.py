"""The chart's README is made of values.yaml: its comments are the one place where a value is explained."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from support.helm import CHART

if TYPE_CHECKING:
    from support.golden import Golden

INTRODUCTION = """\
# Chart allod

The operator of Allod, its CustomResourceDefinitions, its rights, and three roles for people.
How to install, upgrade and uninstall it, with Argo CD or behind a private registry: [docs/install.md](../../docs/install.md).

```sh
helm upgrade --install allod charts/allod --namespace allod-system --create-namespace \\
  --set image.repository=registry.example.com/allod/operator
```

## Values

"""


def explained(text: str) -> list[tuple[str, Any, str]]:
    """Each value of values.yaml with its default and the comment lines right above it. A group's comment stands at its first line."""
    defaults = yaml.safe_load(text)
    found: list[tuple[str, Any, str]] = []
    path: list[str] = []
    comment: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        key, colon, _ = stripped.partition(":")
        if stripped.startswith("#"):
            comment.append(stripped.lstrip("#- "))
        elif colon and not stripped.startswith("- "):
            depth = (len(line) - len(line.lstrip())) // 2
            path = [*path[:depth], key]
            value = defaults
            for step in path:
                value = value[step]
            found.append((".".join(path), value, " ".join(comment)))
            comment = []
        elif not stripped:
            comment = []
    return found


def shown(value: Any) -> str:
    return f"`{json.dumps(value)}`" if not isinstance(value, dict) or not value else ""


def table(text: str) -> str:
    rows = [(path, shown(value), why.replace("|", "\\|")) for path, value, why in explained(text)]
    lines = [f"| `{path}` | {default} | {why} |" for path, default, why in rows if default or why]
    return "\n".join(["| value | default | |", "| --- | --- | --- |", *lines, ""])


def test_the_readme_lists_every_value_with_its_default_and_its_comment(golden: Golden) -> None:
    golden.check(str(CHART / "README.md"), INTRODUCTION + table((CHART / "values.yaml").read_text()))
