"""How a model gets from one revision to another, and where its traffic goes when it cannot answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from allod.api import rolloutrules as refuse
from allod.api.base import ApiModel, Name
from allod.api.canary import Canary
from allod.api.values import Duration, Schedule, TimeZone


class ModelDeploymentReference(ApiModel):
    """Another ModelDeployment of the same namespace."""

    name: Name
    """Its metadata.name."""


class Drill(ApiModel):
    """When the standby is tried: traffic really goes there for a while and comes back."""

    schedule: Schedule
    """Five fields of cron (minute hour day month weekday), such as 0 3 * * 0: at three o'clock on each Sunday. A drill begins only
    while the model is well and no rollout runs; it is waited for so for five minutes."""
    time_zone: TimeZone = TimeZone("UTC")
    """Whose clock the schedule means: a name such as Europe/Berlin."""
    duration: Annotated[Duration, refuse.between("drill-duration", "standby.drill.duration", "5s", "1h")] = Duration("30s")
    """How long traffic stays there."""


class Standby(ApiModel):
    """Who answers while the model cannot."""

    model_deployment_ref: ModelDeploymentReference
    """A ModelDeployment, usually a smaller one, perhaps on CPUs. It lists the served name of this model among its aliases, so that
    clients notice nothing. With replicas 0 it is cold: it gets one replica when this model needs it, and none again afterwards."""
    max_activation: Annotated[Duration, refuse.between("max-activation", "standby.maxActivation", "1s", "2h")] | None = None
    """How long it may take until the standby has the traffic. A drill that takes longer makes StandbyReady False; one that waits for a
    standby in vain gives up after this time, or after 30m without it."""
    drill: Drill | None = None
    """Without it drills are by hand only: kubectl annotate mdl NAME allod.dev/drill=$(date +%s)."""


class Rollout(ApiModel):
    """How a new revision replaces the one that serves."""

    strategy: Literal["Surge", "Recreate", "StandbyHandoff", "Canary"] = "Surge"
    """Surge: the new pods start beside the old ones, traffic moves when they are ready. When no GPUs are free for that and a standby
    is ready, as StandbyHandoff. Recreate: the old pods end first, and nothing answers until the new ones are ready. StandbyHandoff:
    traffic goes to the standby, the old pods end, the new ones start, traffic comes back. Canary: the new pods start beside the old ones
    and get a part of the traffic that comes through a Gateway, step by step, and all of it when they were not worse."""
    canary: Canary = Canary()
    """How the strategy Canary parts traffic, and the Gateway that sends it, with any strategy."""
    max_surge: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Pods that Surge may run beyond replicas. The revisions are exchanged in steps of so many pods, and traffic moves when the new
    one serves with as many pods as the old one still has. Without it: as many as replicas, so all at once."""
    bake: Annotated[Duration, refuse.between("bake", "rollout.bake", "0s", "24h")] = Duration("2m")
    """How long a new revision must serve before it is good and the old one goes. When it fails within this time, traffic returns to
    the old one, whose pods are still there."""
    progress_deadline: Annotated[Duration, refuse.between("progress-deadline", "rollout.progressDeadline", "10s", "48h")] = Duration("1h")
    """How long a new revision may take until all its pods serve, while another one serves. After it the new one is given up. Time
    in which no GPUs are free for it does not count as its fault: it is waited for."""
    history_limit: Annotated[int, Field(ge=1, le=20)] = 5
    """Good revisions that are remembered without pods, to go back to."""


class Failover(ApiModel):
    """When traffic leaves a model that cannot answer, and when it returns."""

    after: Annotated[Duration, refuse.between("failover-after", "health.failover.after", "0s", "1h")] = Duration("0s")
    """Patience once no pod serves, before traffic moves to the standby."""
    recovery: Literal["Automatic", "Manual"] = "Automatic"
    """Automatic: traffic returns by itself once the model has been ready for holdFor. Manual: when the annotation
    allod.dev/return-traffic is set to the name of the revision that traffic may return to."""
    hold_for: Annotated[Duration, refuse.between("hold-for", "health.failover.holdFor", "0s", "24h")] = Duration("5m")
    """How long all pods must have been ready before traffic returns."""


class Page(ApiModel):
    """When the operator is at its end and a person is needed, at night too."""

    after: Annotated[Duration, refuse.between("page-after", "health.page.after", "0s", "24h")] = Duration("15m")
    """How long the model may be degraded, or its standby answer for it, before alerts of the severity page tell somebody. A model for
    which nobody answers pages after as long, at most after 2m."""


class Rollback(ApiModel):
    """When a new revision counts as failed within its bake time."""

    fail_after: Annotated[Duration, refuse.between("fail-after", "health.rollback.failAfter", "0s", "1h")] = Duration("30s")
    """How long something may be wrong with it, while no older revision can take over at once."""
