"""Which lines of a vLLM metrics page count what: names as of 0.32, and what they were called before.

What a request and a failure is, and how that is known (M: measured on 0.32, most of it again at each run of `tests/vllm`; R: read in
its code and in that of the instrumentator, 8.1):

- `http_requests_total` counts each answer when it ends, by the class of its status; 4xx is the client's mistake (M). POST to a route
  of the API is a request for the model; route walks of some FastAPI versions give `none` as the handler (R).
- A client that goes away counts as 2xx, whether its answer had begun or not (M).
- A full queue answers 503, which is in 5xx and in `vllm:admission_rejections_total` (M): overload is no failure, so it is taken out.
- A stream is a 2xx for the instrumentator, whatever comes in it (M): also one that ends in an error event, and one of which the watchdog,
  which stands outside the instrumentator, makes a 5xx. vLLM itself counts it as `error`, or, for most causes, as `abort`, like a client
  that went away (R). So the watchdog counts these streams, and no failure is in both counts.
- The watchdog's self-requests are answers like others: `answered` ones are 2xx (M), `failed` and `lost` (cancelled) ones 5xx (R).
- What a draining server turns away is answered by the watchdog and counted nowhere (M).
- An engine that dies takes its counters along (M): its end shows as a restart, never as an error.

llama.cpp publishes tokens and slots, neither requests nor failures nor histograms (M, build 11669): no SLO can be held against it, and
the API refuses one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from allod.api.slo import Metric

Counter: TypeAlias = Literal["answered", "failed", "refused", "broken", "own_answered", "own_failed"]
"""answered: 2xx. failed: 5xx. refused: by a full queue, within failed. broken: streams with an error event, within answered. own_*: the
watchdog's share."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines whose values are summed up."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()
    """Patterns that the whole value of each label has to fit, as PromQL's `=~`."""


_WORK = (("method", "POST"), ("handler", "/v[12]/.*|none"))

COUNTERS: Mapping[Counter, Lines] = {
    "answered": Lines("http_requests_total", (*_WORK, ("status", "2.*"))),
    "failed": Lines("http_requests_total", (*_WORK, ("status", "5.*"))),
    "refused": Lines("vllm:admission_rejections_total"),
    "broken": Lines("allod_watchdog_broken_streams_total"),
    "own_answered": Lines("allod_watchdog_self_requests_total", (("result", "answered"),)),
    "own_failed": Lines("allod_watchdog_self_requests_total", (("result", "failed|lost"),)),
}

HISTOGRAMS: Mapping[Metric, tuple[str, ...]] = {
    "TTFTSeconds": ("vllm:time_to_first_token_seconds",),
    # Renamed in 0.11. Then both were there for a while, so the first that is found counts and not their sum.
    "InterTokenSeconds": ("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"),
    "EndToEndSeconds": ("vllm:e2e_request_latency_seconds",),
}
"""By preference."""

WAITING = "vllm:num_requests_waiting"
"""Requests in the queue of each engine of a pod."""
KV_USAGE = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
"""0 to 1 in spite of its name, by preference; renamed in 0.10."""
START = "process_start_time_seconds"
"""Another value is another process. Not there with several API servers in one pod."""
