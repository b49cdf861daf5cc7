"""Service level objectives of a model: what its clients may expect, so that a revision that does not hold it is found out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from allod.api import slorules as refuse
from allod.api.base import ApiModel, Token
from allod.api.values import Duration, Number, Ratio

Metric = Literal["ErrorRatio", "TTFTSeconds", "InterTokenSeconds", "EndToEndSeconds"]


class Slo(ApiModel):
    """One objective, measured by revision over a sliding window, from the metrics that the engines publish."""

    name: Token
    """Tells the objectives of a model apart."""
    metric: Metric
    """ErrorRatio: the part of the requests that the server fails; not those that are the client's mistake (4xx), nor those that a
    full queue turns away. TTFTSeconds: from a request to the first token of its answer. InterTokenSeconds: between two outputs of one
    answer, mostly one token each. EndToEndSeconds: from a request to the end of its answer."""
    quantile: Annotated[Ratio, refuse.QUANTILE] | None = None
    """Which of the latencies has to be within the threshold: "0.99" means 99 of 100 requests. With ErrorRatio it is left out. It is
    estimated from the engine's histogram, so exact to the width of the bucket that it falls into."""
    threshold: Number
    """What the metric may be at most, a decimal number as a string: a ratio below "1" for ErrorRatio, such as "0.01", else seconds,
    such as "2.5"."""
    window: Annotated[Duration, refuse.WINDOW]
    """Over how long it is measured. Engines, or a Prometheus in their place, are asked every 10 s. Nothing is concluded before a
    revision was seen for as long, and after a change of the operator's leader that time begins anew."""
    min_requests: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    """With fewer requests in the window nothing is concluded. The watchdog's own requests do not count. Without it: 50."""

    rules = refuse.SLO
