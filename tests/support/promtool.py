"""promtool of Debian: whether Prometheus takes rules, and which alerts fire for which figures, without a Prometheus."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from box import prometheus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

INTERVAL = "15s"
"""Between two samples of a series, unless a story has another one, and between two looks at the rules."""
SELECTED = re.compile(r"([a-zA-Z_:][\w:]*)\{")
"""A name in front of labels: our rules write labels behind every name."""
MADE_BY_PROMETHEUS = {"up"}


@dataclass(frozen=True, slots=True)
class Story:
    """Figures over time, and what fires then."""

    name: str
    series: Mapping[str, str]
    """Values in promtool's notation: `0+15x40` rises by 15, `1x40` stays, `_x8` is absent."""
    fires: Mapping[str, set[str]]
    """By the time since the beginning, such as 5m: exactly these alerts, as `severity AlertName`."""
    alerts: list[dict[str, Any]] = field(default_factory=list)
    """promtool's own alert_rule_test, for whole labels and sentences."""
    interval: str = INTERVAL

    def document(self) -> dict[str, Any]:
        expression = 'count by (alertname, severity) (ALERTS{alertstate="firing"})'
        asked = [
            {"expr": expression, "eval_time": at, "exp_samples": [_sample(each) for each in fired]} for at, fired in self.fires.items()
        ]
        return {
            "name": self.name,
            "interval": self.interval,
            "input_series": [{"series": series, "values": values} for series, values in self.series.items()],
            "promql_expr_test": asked,
            "alert_rule_test": self.alerts,
        }


def _sample(fired: str) -> dict[str, Any]:
    severity, name = fired.split()
    return {"labels": f'{{alertname="{name}",severity="{severity}"}}', "value": 1}


@dataclass(frozen=True)
class Promtool:
    """promtool and a folder for its files."""

    folder: Path

    def check(self, rule: Mapping[str, Any]) -> str:
        """What it says about the rules of a PrometheusRule. Raises AssertionError when Prometheus would refuse them."""
        return self._run("check", "rules", "--lint=all", "--lint-fatal", str(self._rules(rule)))

    def test(self, rule: Mapping[str, Any], stories: Iterable[Story]) -> None:
        """Raises AssertionError with what fired and should not, and the other way round."""
        document = {
            "rule_files": [str(self._rules(rule))],
            "evaluation_interval": INTERVAL,
            "tests": [story.document() for story in stories],
        }
        path = self.folder / "tests.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        self._run("test", "rules", str(path))

    def _rules(self, rule: Mapping[str, Any]) -> Path:
        path = self.folder / "rules.yaml"
        path.write_text(yaml.safe_dump(rule["spec"], sort_keys=False, width=10_000))
        return path

    def _run(self, *words: str) -> str:
        ran = subprocess.run([prometheus.unpacked() / "promtool", *words], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout


def asked_for(rule: Mapping[str, Any]) -> set[str]:
    """Names of the figures that the rules read from pages: those that they record themselves, and Prometheus makes, are left out."""
    rules = [each for group in rule["spec"]["groups"] for each in group["rules"]]
    recorded = {each["record"] for each in rules if "record" in each}
    return {name for each in rules for name in SELECTED.findall(each["expr"])} - recorded - MADE_BY_PROMETHEUS


def on_page(page: str) -> set[str]:
    """Names that a metrics page has, with samples or as a type without any yet."""
    typed = re.findall(r"^# TYPE (\S+) (\w+)$", page, re.MULTILINE)
    # A counter with labels has no sample until it counts; the old text format writes its type with its whole name.
    families = {name for name, kind in typed if kind != "histogram"}
    return families | set(re.findall(r"^([a-zA-Z_:][\w:]*)(?:\{| )", page, re.MULTILINE))
