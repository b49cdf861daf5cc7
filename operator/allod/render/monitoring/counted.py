"""The one question to Prometheus by which the operator learns what engines counted: all numbers of all pods of some models at once.

One question is one look at the memory of Prometheus, so its numbers are of the same moment, those of two revisions too. Each is the sum
that a pod's own page would give, as it stood at the last scrape; the growth is reckoned by `serving/health/windows.py`, not here.

Numbers are told apart by the label `what`:

    scraped                              when that scrape was, in seconds since 1970; only of pods whose last scrape worked
    answered, failed, ...                by the names of `engine/metrics.py`
    started, waiting, kv_usage           as in `windows.Reading`
    TTFTSeconds, ...                     a bucket of a histogram, with its bound in `le`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from allod.domain.serving.engine.metrics import COUNTERS, HISTOGRAMS, KV_USAGE, START, WAITING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from allod.api.slo import Metric
    from allod.domain.serving.engine.metrics import Lines

TARGET = "namespace, pod, job, instance"
"""One pod as one scraper sees it: job and instance are Prometheus' own names for that. Two scrapers of a pod must not be added up."""
WHAT = "what"
SCRAPED: Final = "scraped"
STARTED: Final = "started"
QUEUED: Final = "waiting"
FILLED: Final = "kv_usage"


def question(models: Collection[tuple[str, str]], metrics: Iterable[Metric], match_labels: Mapping[str, str]) -> str:
    """PromQL about the pods of these models, by namespace and name; `metrics` are those whose histograms are wanted.

    `match_labels` are further labels that a series must have, where one Prometheus keeps those of several clusters.
    """
    of = _selector(models, match_labels)
    return "\nor\n".join(
        [
            # up itself, or timestamp() would tell when it was asked.
            _named(SCRAPED, f"max by ({TARGET}) (timestamp(up{{{of}}}) and up{{{of}}} == 1)"),
            *(_named(what, f"sum by ({TARGET}) ({lines.name}{{{_labels(of, lines)}}})") for what, lines in COUNTERS.items()),
            _named(STARTED, f"max by ({TARGET}) ({START}{{{of}}})"),
            _named(QUEUED, f"sum by ({TARGET}) ({WAITING}{{{of}}})"),
            _named(FILLED, _first(f"max by ({TARGET}) ({name}{{{of}}})" for name in KV_USAGE)),
            *(
                _named(metric, _first(f"sum by ({TARGET}, le) ({name}_bucket{{{of}}})" for name in HISTOGRAMS[metric]))
                for metric in sorted(metrics)
            ),
        ]
    )


def _selector(models: Collection[tuple[str, str]], match_labels: Mapping[str, str]) -> str:
    """Each namespace with each name: what else that lets in does no harm, as answers are told apart by pod."""
    namespaces, names = ("|".join(sorted({model[part].replace(".", "[.]") for model in models})) for part in (0, 1))
    further = [f'{label}="{_quoted(value)}"' for label, value in sorted(match_labels.items())]
    return ",".join([f'namespace=~"{namespaces}"', f'allod_dev_model=~"{names}"', *further])


def _labels(of: str, lines: Lines) -> str:
    return ",".join([of, *(f'{label}=~"{pattern}"' for label, pattern in lines.labels)])


def _first(expressions: Iterable[str]) -> str:
    """Of each pod what the first of these says that says anything of it."""
    first, *others = expressions
    return f"({first} or ({_first(others)} unless on ({TARGET}) {first}))" if others else first


def _named(what: str, expression: str) -> str:
    return f'label_replace({expression}, "{WHAT}", "{what}", "", "")'


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
