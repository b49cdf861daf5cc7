"""Environment variables: ours, and the user's over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeploymentSpec


def with_users(ours: list[dict[str, Any]], spec: ModelDeploymentSpec) -> list[dict[str, Any]]:
    """One entry for each name: the API server refuses a list in which one stands twice. What must stay ours the API refuses already."""
    users = [variable.document() for variable in spec.engine.env]
    taken = {variable["name"] for variable in users}
    return [variable for variable in ours if variable["name"] not in taken] + users
