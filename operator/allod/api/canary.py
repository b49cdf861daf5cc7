"""A new revision on trial with a part of the traffic, through a Gateway of the Gateway API."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from allod.api import canaryrules as refuse
from allod.api.base import ApiModel, Name
from allod.api.markers import ListSet
from allod.api.slo import Metric
from allod.api.values import Duration, Ratio

Hostname = Annotated[str, Field(min_length=1, max_length=253), refuse.HOSTNAME]


class GatewayReference(ApiModel):
    """A Gateway of the Gateway API (gateway.networking.k8s.io)."""

    name: Name
    """Its metadata.name."""
    namespace: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """Where it is. Without it: in the model's namespace. A Gateway of another namespace has to allow routes from this one in its
    listeners' allowedRoutes."""
    section_name: Name | None = None
    """Which of its listeners. Without it: all of them."""


class CanaryStep(ApiModel):
    """A part of the traffic, and for how long."""

    weight: Annotated[int, Field(ge=1, le=99)]
    """Percent of the requests that go to the new revision; the others go to the active one."""
    hold: Annotated[Duration, refuse.HOLD]
    """How long this step lasts at least, counted while the new revision is ready. It lasts longer while too few requests were seen
    for a comparison."""


class Comparison(ApiModel):
    """One thing in which the new revision may not be worse than the active one, over the same time."""

    metric: Metric
    """ErrorRatio, TTFTSeconds, InterTokenSeconds or EndToEndSeconds, as in health.slos."""
    quantile: Annotated[Ratio, refuse.QUANTILE] | None = None
    """Around which quantile of the active revision's latencies both are compared: "0.95". With ErrorRatio it is left out."""
    max_regression_percent: Annotated[int, Field(ge=0, le=1000)]
    """How much worse the new revision may be. Of a latency: 20 allows answers that take 1.2 times as long. It is seen as finely as
    the engine's histogram has buckets. Of ErrorRatio: how many more of a hundred requests may fail."""

    rules = refuse.COMPARISON


class Canary(ApiModel):
    """How traffic is parted between a new revision and the active one."""

    parent_ref: GatewayReference | None = None
    """The Gateway through which clients ask. The operator makes an HTTPRoute of the model's name on it. Outside a canary the route
    sends everything to where the Service of the model points too."""
    hostnames: Annotated[tuple[Hostname, ...], Field(max_length=16), ListSet()] = ()
    """Host names of the HTTPRoute. Without them: every host of the listener, which no two models can share."""
    steps: Annotated[tuple[CanaryStep, ...], Field(max_length=16)] = ()
    """One after the other, with rising weights. After the last one the new revision gets everything, and bakes."""
    compare: Annotated[tuple[Comparison, ...], Field(max_length=8)] = ()
    """In what the new revision may not be worse. When it is, it is given up at once. Without it: it is given up only when it cannot
    serve, or breaks an objective of health.slos."""
    min_requests: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    """Requests of the new revision that have to be compared in each step before it ends, and in all before a comparison counts.
    Without it: 50."""

    rules = refuse.CANARY
