"""An operator whose clock ran an hour ahead, until somebody set it: nothing waits for that hour to come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, get_args

import pytest

from allod.api.base import ApiModel, Time
from allod.api.modeldeploymentstatus import ModelDeploymentStatus
from allod.domain.conditions import timestamp
from allod.domain.serving import moves
from allod.domain.serving.moments import MOMENTS, past
from unit.domain.simulation import World, hung, ready, starting
from unit.domain.test_canaries import canary_world
from unit.domain.test_deaf_gateways import edge
from unit.domain.test_standby import world_with_standby

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = timedelta(hours=1)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def ahead(told: Any) -> Any:
    """A status as that operator would have written it."""
    if isinstance(told, dict):
        late = {key: timestamp(datetime.fromisoformat(part) + HOUR) for key, part in told.items() if key in MOMENTS}
        return {key: ahead(part) for key, part in told.items()} | late
    return [ahead(each) for each in told] if isinstance(told, list) else told


def test_a_gateway_that_was_told_in_time_to_come_has_had_its_moment() -> None:
    world = edge("Surge")
    world.spec["rollout"]["bake"] = "0s"
    world.edit(engine__maxModelLen=32768)
    while world.route != "B":
        world.reconcile()
        world.kubernetes()
    world.status = ahead(world.status)
    world.settle()
    world.wait(10)
    assert world.asked() == {"B": 1}


def test_a_step_of_a_canary_that_began_in_time_to_come_lasts_as_long_as_any() -> None:
    world = canary_world()
    world.edit(engine__maxModelLen=32768)
    world.settle()
    world.status = ahead(world.status)
    assert world.wait(310) == ["gateway A 50, B 50"]


def test_a_revision_that_started_in_time_to_come_has_no_more_time_than_any() -> None:
    world = World()
    world.settle()
    world.engine = lambda letter: starting() if letter == "B" else ready()
    world.edit(engine__maxModelLen=32768, rollout={"progressDeadline": "10m"})
    world.settle()
    world.status = ahead(world.status)
    world.wait(660)
    assert world.state("B") == "Failed"


def test_returns_in_time_to_come_are_of_this_hour() -> None:
    world = world_with_standby(health={"failover": {"holdFor": "10s"}})
    for does in (hung(), ready()) * 4:
        world.engine = lambda _, does=does: does  # type: ignore[misc]  # the fate of this turn
        world.settle()
        world.wait(20)
    assert world.condition("FailedOver")[:2] == ("True", "Flapping")
    world.status = ahead(world.status)
    world.wait(3500)
    assert world.route == "chat-small"
    world.wait(200)
    assert world.route == "A"


def test_a_model_that_left_in_time_to_come_left_now() -> None:
    step = {"time": timestamp(NOW + HOUR), "action": "FailedOver"}
    assert moves.left({"status": {"history": [step]}}, NOW) == NOW
    moved = moves.still({"u-1": NOW + HOUR}, NOW)
    assert moved == {"u-1": NOW}
    assert moves.still(moved, NOW + HOUR) == {}


def test_what_is_past_stays_as_it_is() -> None:
    told = {"metadata": {"name": "chat"}, "status": {"ready": "1/2", "history": [{"time": timestamp(NOW - HOUR)}], "gpus": 2}}
    assert past(told, NOW) == told
    assert past({"metadata": {}}, NOW) == {"metadata": {}}


def test_every_moment_of_the_status_is_known() -> None:
    assert set(_moments(ModelDeploymentStatus)) == MOMENTS


def _moments(model: type[ApiModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        parts = set(_parts(field.annotation))
        if "date-time" in str(field.json_schema_extra) or any(part is Time for part in parts):
            yield field.alias or name
        yield from (found for part in parts if isinstance(part, type) and issubclass(part, ApiModel) for found in _moments(part))


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


@pytest.mark.parametrize("seconds", [0, 59])
def test_a_moment_within_this_second_is_not_ahead(seconds: int) -> None:
    now = NOW + timedelta(seconds=seconds, microseconds=900_000)
    told = {"status": {"traffic": {"since": timestamp(now)}}}
    assert past(told, now) == told
