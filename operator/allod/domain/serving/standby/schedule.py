"""When the schedule of a drill asks for one. The rules of cron, summer time included, are cronsim's; zones are Python's own database."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from allod.domain.serving.health.finding import Finding

if TYPE_CHECKING:
    from allod.api.rollout import Drill as Wish

SOME_DAY = datetime(2026, 1, 1)  # noqa: DTZ001  # its zone is what is tried


def next_time(wish: Wish, after: datetime) -> datetime | None:
    """The next one after a moment, in the zone of the schedule. None: it cannot be read, as `bad_schedule` says."""
    return None if bad_schedule(wish) else next(CronSim(wish.schedule, after.astimezone(ZoneInfo(wish.time_zone))))


def bad_schedule(wish: Wish) -> Finding | None:
    """What of it the API server cannot see: a zone that does not exist, a day that never comes."""
    try:
        next(CronSim(wish.schedule, SOME_DAY.replace(tzinfo=ZoneInfo(wish.time_zone))))
    except (CronSimError, StopIteration) as problem:
        because = f": {problem}" if str(problem) else ""
        return Finding("BadSchedule", f"standby.drill.schedule {wish.schedule!r} is no time that ever comes{because}")
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError; the name of a folder is an OSError
        return Finding("BadSchedule", f"standby.drill.timeZone {wish.time_zone!r} is no time zone: write a name such as Europe/Berlin")
    return None
