from __future__ import annotations

from typing import Any

import lupa.lua51  # type: ignore[import-untyped]  # lupa ships no types
import pytest

from support.helm import CHART

Conditions = dict[str, tuple[str, str]]

SCRIPT = (CHART / "files" / "health.lua").read_text()


def health(model: dict[str, Any]) -> tuple[str, str]:
    """What Argo CD would show: it runs the script in Lua 5.1 with the object as the global `obj`."""
    lua = lupa.lua51.LuaRuntime(unpack_returned_tuples=True)
    lua.globals().obj = lua.table_from(model, recursive=True)
    shown = lua.execute(SCRIPT)
    return shown["status"], shown["message"]


def model(
    conditions: Conditions, *, observed: int | None = 3, deleting: bool = False, spec: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A ModelDeployment of generation 3 with these conditions, each a (status, message)."""
    metadata: dict[str, Any] = {"name": "chat", "generation": 3}
    if deleting:
        metadata["deletionTimestamp"] = "2026-11-22T12:00:00Z"
    status = {
        "observedGeneration": observed,
        "conditions": [{"type": kind, "status": value, "message": message} for kind, (value, message) in conditions.items()],
    }
    return {"metadata": metadata, "spec": {"replicas": 1, **(spec or {})}, **({} if observed is None else {"status": status})}


YES, NO = "True", "False"
SERVES = {"Ready": (YES, "1 of 1 pods serve"), "Progressing": (NO, ""), "Degraded": (NO, "")}
ROLLED_BACK = {"Ready": (YES, "5b21aa0c serves"), "Progressing": (NO, ""), "Degraded": (YES, "7c9f4d21 failed: image not found")}
STARTS = {"Ready": (NO, "no pod serves"), "Progressing": (YES, "5b21aa0c: 0 of 1 pods ready"), "Degraded": (NO, "")}
DOWN = {"Ready": (NO, "no pod serves"), "Progressing": (NO, ""), "Degraded": (NO, "")}


@pytest.mark.parametrize(
    ("seen", "shown"),
    [
        pytest.param(model(SERVES), ("Healthy", "1 of 1 pods serve"), id="it serves"),
        pytest.param(model(STARTS), ("Progressing", "5b21aa0c: 0 of 1 pods ready"), id="it starts"),
        pytest.param(model(DOWN), ("Degraded", "no pod serves"), id="it is down and nothing is on its way"),
        pytest.param(
            model(ROLLED_BACK), ("Degraded", "7c9f4d21 failed: image not found"), id="the old revision serves, the synced one failed"
        ),
        pytest.param(model({}, observed=None), ("Progressing", "the operator has not seen this change yet"), id="it was just made"),
        pytest.param(
            model(SERVES, observed=2), ("Progressing", "the operator has not seen this change yet"), id="the status is of an older spec"
        ),
        pytest.param(model(SERVES, deleting=True), ("Progressing", "is being deleted"), id="it is being deleted"),
        pytest.param(model({}), ("Progressing", "the operator has not said yet whether it serves"), id="no condition yet"),
        pytest.param(
            model(SERVES, spec={"suspend": True}),
            ("Suspended", "spec.suspend is true: the operator changes nothing about this model"),
            id="a person suspended it",
        ),
        pytest.param(
            model(ROLLED_BACK, spec={"suspend": True}), ("Degraded", "7c9f4d21 failed: image not found"), id="suspended, and broken"
        ),
        pytest.param(model(DOWN, spec={"replicas": 0}), ("Suspended", "spec.replicas is 0: no pod, no GPU"), id="scaled to nothing"),
    ],
)
def test_argo_cd_shows(seen: dict[str, Any], shown: tuple[str, str]) -> None:
    assert health(seen) == shown
