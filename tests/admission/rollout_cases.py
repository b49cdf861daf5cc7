from __future__ import annotations

from admission.case import Case, vllm

SMALL = {"modelDeploymentRef": {"name": "chat-small"}}

ROLLOUT_CASES = (
    Case(
        "standby-itself",
        vllm(standby=SMALL),
        vllm(standby={"modelDeploymentRef": {"name": "chat"}}),
        "spec.standby",
        "standby.modelDeploymentRef names this very model: a standby is another ModelDeployment",
    ),
    Case(
        "handoff-standby",
        vllm(rollout__strategy="StandbyHandoff", standby=SMALL),
        vllm(rollout__strategy="StandbyHandoff"),
        "spec.rollout",
        "rollout.strategy StandbyHandoff needs somebody who answers meanwhile: name a ModelDeployment in standby.modelDeploymentRef",
    ),
    Case(
        "max-surge-strategy",
        vllm(rollout__maxSurge=1),
        vllm(rollout__maxSurge=1, rollout__strategy="Recreate"),
        "spec.rollout",
        "rollout.maxSurge is for the strategy Surge: Canary starts all new pods at once, the others end the old ones before",
    ),
    Case(
        "bake",
        vllm(rollout__bake="0s"),
        vllm(rollout__bake="25h"),
        "spec.rollout.bake",
        "rollout.bake 25h is not between 0s and 24h",
    ),
    Case(
        "progress-deadline",
        vllm(rollout__progressDeadline="48h"),
        vllm(rollout__progressDeadline="9s"),
        "spec.rollout.progressDeadline",
        "rollout.progressDeadline 9s is not between 10s and 48h",
    ),
    Case(
        "failover-after",
        vllm(health__failover__after="0s"),
        vllm(health__failover__after="61m"),
        "spec.health.failover.after",
        "health.failover.after 61m is not between 0s and 1h",
    ),
    Case(
        "hold-for",
        vllm(health__failover__holdFor="24h"),
        vllm(health__failover__holdFor="25h"),
        "spec.health.failover.holdFor",
        "health.failover.holdFor 25h is not between 0s and 24h",
    ),
    Case(
        "page-after",
        vllm(health__page__after="0s"),
        vllm(health__page__after="25h"),
        "spec.health.page.after",
        "health.page.after 25h is not between 0s and 24h",
    ),
    Case(
        "max-activation",
        vllm(standby=SMALL | {"maxActivation": "2h"}),
        vllm(standby=SMALL | {"maxActivation": "500ms"}),
        "spec.standby.maxActivation",
        "standby.maxActivation 500ms is not between 1s and 2h",
    ),
    Case(
        "drill-duration",
        vllm(standby=SMALL | {"drill": {"schedule": "*/15 0-6,22 1 JAN,jul mon-FRI", "duration": "5s"}}),
        vllm(standby=SMALL | {"drill": {"schedule": "0 3 * * 0", "duration": "2h"}}),
        "spec.standby.drill.duration",
        "standby.drill.duration 2h is not between 5s and 1h",
    ),
    Case(
        "schedule-shape",
        vllm(standby=SMALL | {"drill": {"schedule": "0 3 * * 0"}}),
        vllm(standby=SMALL | {"drill": {"schedule": "0 25 * * 0"}}),
        "spec.standby.drill.schedule",
        "it is 0 25 * * 0, and a schedule is the five fields of cron, minute hour day month weekday:"
        " 0 3 * * 0 is three in the morning of each Sunday",
    ),
    Case(
        "timezone-shape",
        vllm(standby=SMALL | {"drill": {"schedule": "0 3 * * 0", "timeZone": "America/Argentina/Buenos_Aires"}}),
        vllm(standby=SMALL | {"drill": {"schedule": "0 3 * * 0", "timeZone": "../etc"}}),
        "spec.standby.drill.timeZone",
        "it is ../etc, and a time zone is a name of the time zone database, such as Europe/Berlin or UTC",
    ),
    Case(
        "fail-after",
        vllm(health__rollback__failAfter="1h"),
        vllm(health__rollback__failAfter="2h"),
        "spec.health.rollback.failAfter",
        "health.rollback.failAfter 2h is not between 0s and 1h",
    ),
)
