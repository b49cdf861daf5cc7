"""The model's own service level objectives, asked of Prometheus as the operator asks itself: `serving/health/windows.py`, `slos.py`.

Figures by revision, each from those above it, and one alert for each objective:

    allod:counted:gained{window="2m",what="failed"}   what the engines counted within that time, by the names of `engine/metrics.py`
    allod:requests:gained{window="2m"}                requests that were answered or failed
    allod:slo:requests{slo="ttft"}                    how many of them say something about the objective
    allod:slo:value{slo="ttft"}                       the ratio, or the seconds of the quantile
    alert                                             value > threshold, with minRequests or more, seen for the whole window
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.api.slo import Slo
from allod.api.values import Duration, Number
from allod.domain.serving.engine.metrics import COUNTERS, HISTOGRAMS
from allod.domain.serving.health.slos import CALLED
from allod.render.monitoring.promql import REVISION, gained, pods, span
from allod.render.monitoring.rule import Rule, alert, record
from allod.render.monitoring.wording import named, who

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment

NAMES = {
    "ErrorRatio": "AllodTooManyErrors",
    "TTFTSeconds": "AllodFirstTokenLate",
    "InterTokenSeconds": "AllodTokensSlow",
    "EndToEndSeconds": "AllodAnswersLate",
}
USUAL = Slo(name="usual", metric="ErrorRatio", threshold=Number("0.05"), window=Duration("5m"))
"""For a model without an ErrorRatio of its own: one request of twenty. The operator does nothing about it, so it is wide."""
NO_NAME = "(usual)"
"""Of that one. No objective of a user can have it."""


def slo_rules(model: ModelDeployment) -> list[Rule]:
    """Figures come before what reads them: Prometheus takes the rules of a group one after the other."""
    own = model.spec.health.slos
    usual = [] if any(slo.metric == "ErrorRatio" for slo in own) else [(NO_NAME, USUAL)]
    named_slos = [*((slo.name, slo) for slo in own), *usual]
    windows = dict.fromkeys(span(slo.window.seconds) for _, slo in named_slos)
    figures = [rule for over in windows for rule in _counted(pods(model), over)]
    return [*figures, *(rule for name, slo in named_slos for rule in (*_measured(pods(model), name, slo), _alert(model, name, slo)))]


def _counted(of: str, over: str) -> list[Rule]:
    """Requests are what was answered or failed, without what a full queue turned away and without the watchdog's own."""
    counted = [
        record("allod:counted:gained", f"sum by ({REVISION}) ({gained(lines, of, over)})", window=over, what=what)
        for what, lines in COUNTERS.items()
    ]
    requests = _difference(of, over, "answered|failed", "refused|own_answered|own_failed")
    return [*counted, record("allod:requests:gained", requests, window=over)]


def _measured(of: str, name: str, slo: Slo) -> list[Rule]:
    over = span(slo.window.seconds)
    if slo.metric == "ErrorRatio":
        requests, value = f"sum by ({REVISION}) ({_requests(of, over)})", _error_ratio(of, over)
    else:
        # The name of 0.32 alone: an older one would be a line that no page has.
        histogram = HISTOGRAMS[slo.metric][0]
        timed = f"sum by ({REVISION}) (increase({histogram}_count{{{of}}}[{over}]))"
        requests = f"min by ({REVISION}) ({timed} or {_requests(of, over)})"
        value = f"histogram_quantile({slo.quantile}, sum by (le, {REVISION}) (rate({histogram}_bucket{{{of}}}[{over}])))"
    return [record("allod:slo:requests", requests, slo=name), record("allod:slo:value", value, slo=name)]


def _error_ratio(of: str, over: str) -> str:
    """What failed at once or as a stream, as a part of all: `engine/metrics.py` says how they are told apart."""
    failed = _difference(of, over, "failed|broken", "refused|own_failed")
    return f"clamp(\n  {failed}\n  / on ({REVISION}) {_requests(of, over)}, 0, 1)"


def _difference(of: str, over: str, these: str, without: str) -> str:
    """By addition: what an engine does not count at all would make a difference of nothing."""
    series = f'allod:counted:gained{{{of},window="{over}",what=~"%s"}}'
    return f"sum by ({REVISION}) ({series % these} or -{series % without})"


def _requests(of: str, over: str) -> str:
    return f'allod:requests:gained{{{of},window="{over}"}}'


def _alert(model: ModelDeployment, name: str, slo: Slo) -> Rule:
    over, of = span(slo.window.seconds), f'{pods(model)},slo="{name}"'
    broken = (
        f"allod:slo:value{{{of}}} > {slo.threshold}",
        f"and on ({REVISION}) allod:slo:requests{{{of}}} >= {slo.min_requests}",
        f"and on ({REVISION}) up{{{pods(model)}}} offset {over}",
    )
    asked = f"SLO {name} of health.slos" if name != NO_NAME else "the usual limit, for health.slos names none"
    says, measured, section = _words(model, slo)
    return alert(
        model,
        NAMES[slo.metric],
        "warning",
        "business",
        expr="\n".join(broken),
        says=f"{says} within {over} ({asked}).",
        do=f"Revision {{{{ $labels.allod_dev_revision }}}}: {measured}. kubectl describe mdl {named(model)} says what the operator does "
        f"about it; docs/troubleshooting.md, section {section}, says what helps.",
    )


def _words(model: ModelDeployment, slo: Slo) -> tuple[str, str, str]:
    """What is wrong, what was measured, and where to read on."""
    if slo.metric == "ErrorRatio":
        says = f"More than {slo.threshold.value * 100:g} % of the requests to model {who(model)} failed"
        return says, "{{ $value | humanizePercentage }} of its requests failed", "SLOErrors"
    percentile = f"p{slo.quantile.value * 100:g}" if slo.quantile else ""
    says = f"{percentile} of {CALLED[slo.metric]} of model {who(model)} was above {slo.threshold} s"
    return says, f"{percentile} is {{{{ $value | humanizeDuration }}}}", "SLOLatency"
