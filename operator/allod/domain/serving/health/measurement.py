"""Whether the figures are there by which a model's objectives and canary are judged."""

from __future__ import annotations

from dataclasses import dataclass

from allod.domain.conditions import Condition
from allod.domain.quantity import count

KIND = "Measured"


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is known of the serving pods of a model, where somebody else reads their counters."""

    trouble: str = ""
    """Why nothing is known of any pod, a sentence. Empty: Prometheus answers."""
    refused: bool = False
    """It was an answer that was the trouble, not that there was none."""
    known: tuple[str, ...] = ()
    """Names of pods whose counters are there and not stale."""
    missing: tuple[str, ...] = ()
    """Names of those that have served for long enough, and Prometheus has nothing of them."""
    lacking: tuple[str, ...] = ()
    """Names of those that are scraped without a counter that they have."""
    lacks: str = ""
    """That counter."""

    @property
    def whole(self) -> bool:
        """Nothing is missing that should be known by now."""
        return not self.trouble and not self.missing

    def condition(self) -> Condition:
        """Are errors and latencies of its pods known?"""
        if self.trouble and self.refused:
            blind = (
                f"{self.trouble}; until it gives figures, objectives and canaries are not judged, and what hangs or dies is seen as ever"
            )
            return Condition(KIND, "False", "PrometheusRefuses", blind)
        if self.trouble:
            blind = f"{self.trouble}; until it answers, objectives and canaries are not judged, and what hangs or dies is seen as ever"
            return Condition(KIND, "False", "PrometheusUnavailable", blind)
        if self.lacking:
            blind = f"Prometheus has figures of {_pods(self.lacking)} without {self.lacks}, so their requests are not judged"
            return Condition(KIND, "False", "CounterMissing", f"{blind}: what scrapes them must keep that counter")
        if self.missing:
            blind = f"Prometheus has no fresh figures of {_pods(self.missing)}, whose requests are not judged"
            return Condition(KIND, "False", "NotScraped", blind)
        if self.known:
            return Condition(KIND, "True", "Scraped", "Prometheus has the figures of all pods that have served for a while")
        return Condition(KIND, "Unknown", "NotScrapedYet", "no pod has served for long enough to be scraped by Prometheus")


def _pods(names: tuple[str, ...]) -> str:
    return f"pod {names[0]}" + (f" and of {count(len(names) - 1, 'other')}" if names[1:] else "")
