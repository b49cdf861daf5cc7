from __future__ import annotations

from typing import Any

import pytest

from allod.reconcile.difference import claimed, crowded

CASES: dict[str, tuple[Any, Any, bool]] = {
    "what the API server fills in is no drift": ({"a": 1}, {"a": 1, "clusterIP": "10.0.0.1"}, True),
    "another value is": ({"a": 1}, {"a": 2}, False),
    "a lost key is": ({"a": {"b": 1}}, {"a": {}}, False),
    "defaults within the items of a list are no drift": ({"c": [{"name": "x"}]}, {"c": [{"name": "x", "protocol": "TCP"}]}, True),
    "an item too many is": ({"c": [{"name": "x"}]}, {"c": [{"name": "x"}, {"name": "y"}]}, False),
    "an item too few is": ({"c": ["x", "y"]}, {"c": ["x"]}, False),
    "another order is": ({"args": ["x", "y"]}, {"args": ["y", "x"]}, False),
    "a key too many in a selector is": ({"selector": {"a": "b"}}, {"selector": {"a": "b", "c": "d"}}, False),
    "a list that became a map is": ({"c": ["x"]}, {"c": {"x": 1}}, False),
    "an empty map stays one": ({"emptyDir": {}}, {"emptyDir": {}}, True),
}


@pytest.mark.parametrize("name", CASES)
def test_drift(name: str) -> None:
    wanted, live, same = CASES[name]
    assert (claimed(wanted, live) == wanted) is same


@pytest.mark.parametrize(
    ("wanted", "live", "too_many"),
    [
        ({"ports": [{"port": 1}]}, {"ports": [{"port": 1}, {"port": 2}]}, True),
        ({"ports": [{"port": 1}]}, {"ports": [{"port": 2}]}, False),
        ({"a": [{"b": [1]}]}, {"a": [{"b": [1, 2]}]}, True),
        ({"a": 1}, {"b": [1]}, False),
    ],
)
def test_lists_with_items_of_others_are_found(wanted: Any, live: Any, *, too_many: bool) -> None:
    assert crowded(wanted, live) is too_many
