from __future__ import annotations

import pytest

from tutorial.page import Command, File, steps

PAGE = """
Some prose.

```console
$ echo one \\
  two
one two
$ true
```

```yaml file=chat.yaml
kind: ModelDeployment
```
"""


def test_a_page_is_read_in_its_order() -> None:
    assert list(steps(PAGE)) == [
        Command(5, "echo one \\\n  two", ("one two",)),
        Command(8, "true", ()),
        File("chat.yaml", "kind: ModelDeployment\n"),
    ]


@pytest.mark.parametrize(
    ("shown", "printed", "missing"),
    [
        (("a", "b"), "a\nb\n", None),
        (("b", "a"), "a\nb\n", "a"),
        (("chat   True   ...",), "chat True 5b21aa0c 1/1\n", None),
        (("chat True ...",), "chat False\n", "chat True ..."),
        (("a", "...", "z"), "a\nb\nc\nz\n", None),
        (("a",), "", "a"),
    ],
)
def test_what_a_page_shows_must_be_printed_in_that_order(shown: tuple[str, ...], printed: str, missing: str | None) -> None:
    assert Command(1, "x", shown).missing(printed) == missing
