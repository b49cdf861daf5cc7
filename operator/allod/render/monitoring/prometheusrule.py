"""Alerts about one model: one group, for rules of a group are taken in order and later ones read what earlier ones recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.render.metadata import metadata
from allod.render.monitoring.enginerules import engine_rules
from allod.render.monitoring.ladderrules import ladder_rules
from allod.render.monitoring.pagerules import page_rules
from allod.render.monitoring.slorules import slo_rules

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.manifest import Manifest
    from allod.render.running import Running

API = "monitoring.coreos.com/v1/PrometheusRule"


def prometheus_rule(model: ModelDeployment, runs: Running) -> Manifest:
    """The ladder, the engines, and for vLLM the service level objectives."""
    meta = model.metadata
    slos = slo_rules(model) if "vLLM" in runs.engines else []
    rules = [*page_rules(model), *ladder_rules(model, on_gpus=runs.on_gpus), *slos, *engine_rules(model, runs.engines)]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": metadata(model, meta.name, labels=dict(model.spec.monitoring.labels)),
        "spec": {"groups": [{"name": f"allod.{meta.namespace}.{meta.name}", "rules": rules}]},
    }
