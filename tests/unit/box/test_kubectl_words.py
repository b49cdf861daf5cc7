from __future__ import annotations

import pytest

from box.commands import _for_kubectl, parser


@pytest.mark.parametrize(
    "words",
    [["get", "pods"], ["-n", "ai", "get", "pods"], ["--namespace=ai", "exec", "chat-0", "--", "ls", "-l"]],
    ids=["a verb first", "an option first", "a separator of its own"],
)
def test_everything_behind_kubectl_is_kubectls_own(words: list[str]) -> None:
    assert parser().parse_args(_for_kubectl(["kubectl", *words])).words == ["--", *words]


def test_other_commands_are_left_alone() -> None:
    assert _for_kubectl(["node", "crash", "node1"]) == ["node", "crash", "node1"]
