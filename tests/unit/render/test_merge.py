from __future__ import annotations

from typing import Any

import pytest

from allod.render.merge import merge

POD: dict[str, Any] = {
    "containers": [{"name": "engine", "image": "a", "args": ["x", "y"], "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}],
    "tolerations": [{"key": "gpu"}],
    "securityContext": {"runAsUser": 1, "fsGroup": 1},
}


@pytest.mark.parametrize(
    ("patch", "path", "expected"),
    [
        ({"hostNetwork": True}, "hostNetwork", True),
        ({"securityContext": {"runAsUser": None}}, "securityContext", {"fsGroup": 1}),
        ({"securityContext": {"$patch": "replace", "fsGroup": 2}}, "securityContext", {"fsGroup": 2}),
        ({"securityContext": {"runAsGroup": 3}}, "securityContext", {"runAsUser": 1, "fsGroup": 1, "runAsGroup": 3}),
        ({"tolerations": [{"key": "other"}]}, "tolerations", [{"key": "other"}]),
        ({"tolerations": None}, "tolerations", None),
        ({"containers": [{"name": "engine", "image": "b"}]}, "containers", [POD["containers"][0] | {"image": "b"}]),
        ({"containers": [{"name": "engine", "args": ["z"]}]}, "containers", [POD["containers"][0] | {"args": ["z"]}]),
        (
            {"containers": [{"name": "log", "env": [{"name": "C"}]}]},
            "containers",
            [*POD["containers"], {"name": "log", "env": [{"name": "C"}]}],
        ),
        ({"containers": [{"name": "engine", "$patch": "delete"}]}, "containers", []),
        ({"containers": [{"name": "absent", "$patch": "delete"}]}, "containers", POD["containers"]),
        (
            {"containers": [{"name": "engine", "env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]}]},
            "containers",
            [POD["containers"][0] | {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}, {"name": "C", "value": "4"}]}],
        ),
        ({"volumes": [{"name": "v", "emptyDir": {}}]}, "volumes", [{"name": "v", "emptyDir": {}}]),
        ({"nodeSelector": {"a": "b"}}, "nodeSelector", {"a": "b"}),
    ],
    ids=str,
)
def test_a_patch_is_merged_as_kubectl_does_it(patch: dict[str, Any], path: str, expected: Any) -> None:
    before = repr(POD)
    assert merge(POD, patch).get(path) == expected
    assert repr(POD) == before
