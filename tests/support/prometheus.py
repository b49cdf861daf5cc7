"""A real Prometheus beside the control plane of the box, fed as the Prometheus Operator would: from PodMonitors and PrometheusRules."""

from __future__ import annotations

import json
import re
import ssl
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from box import addresses, prometheus, waiting

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from pathlib import Path

    from box import Box
    from box.door import Door

PORT = 9090
NAME = "prometheus"
OFTEN = "1s"
"""Scrapes and rules: what PodMonitors ask for, 10 s and more, would make a test of seconds one of minutes."""
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Prometheus:
    """It runs until `end`, or as long as the box."""

    box: Box
    folder: Path
    door: Door
    tls: ssl.SSLContext | None = None
    """What trusts its certificate. None: it has none."""

    @classmethod
    def start(cls, box: Box, certificates: Path | None = None) -> Prometheus:
        """With no targets and no rules yet. One of an earlier test is ended, with all that it knew.

        `certificates`: a folder with ca.crt, prometheus.crt and prometheus.key. Without it Prometheus speaks http.
        """
        folder = box.state / "prometheus"
        box.programs.end(NAME)
        box.space.run("rm", "-rf", folder)
        folder.mkdir()
        listen = f"{addresses.BOX}:{PORT}"
        tls = ssl.create_default_context(cafile=certificates / "ca.crt") if certificates else None
        made = cls(box, folder, box.open(listen), tls)
        made._write([], [])
        flags = {"config.file": folder / "config.yaml", "storage.tsdb.path": folder / "data", "web.listen-address": listen}
        if certificates:
            files = {f"{kind}_file": str(certificates / f"prometheus.{end}") for kind, end in (("cert", "crt"), ("key", "key"))}
            (folder / "web.yaml").write_text(yaml.safe_dump({"tls_server_config": files}))
            flags["web.config.file"] = folder / "web.yaml"
        words = [f"--{name}={value}" for name, value in flags.items()]
        box.programs.start(NAME, [prometheus.unpacked() / "prometheus", *words, "--web.enable-lifecycle"])
        waiting.until("Prometheus is ready", lambda: made._answers("/-/ready"), seconds=30)
        return made

    def end(self) -> None:
        self.box.programs.end(NAME)
        self.door.close()

    def follow(self) -> None:
        """Takes over all PodMonitors and PrometheusRules of the cluster as they are now."""
        self._write(self._all("podmonitors"), self._all("prometheusrules"))
        self._open("/-/reload", 10, method="POST").close()

    def alerts(self, namespace: str) -> dict[str, str]:
        """Alert and its state, pending or firing, of the models of a namespace."""
        return {each["labels"]["alertname"]: each["state"] for each in self.details(namespace)}

    def details(self, namespace: str) -> list[Manifest]:
        """The same with labels and annotations."""
        found: list[Manifest] = self._ask("/api/v1/alerts")["alerts"]
        return [each for each in found if each["labels"].get("namespace") == namespace]

    def wait(self, namespace: str, seconds: float, **states: str) -> None:
        """Until each of these alerts is `firing`, `pending`, or `gone`."""

        def so() -> bool:
            now = self.alerts(namespace)
            return all(now.get(name, "gone") == state for name, state in states.items())

        try:
            waiting.until(f"alerts are {states}", so, seconds=seconds)
        except Exception as late:
            late.add_note(json.dumps({"alerts": self.details(namespace), "targets": self.targets()}, indent=1))
            raise

    def targets(self) -> list[tuple[str, str, str]]:
        """Scraped address, health and the last problem."""
        return [(each["scrapeUrl"], each["health"], each["lastError"]) for each in self._ask("/api/v1/targets")["activeTargets"]]

    def names(self) -> set[str]:
        """Every name that some page had."""
        with self._open("/api/v1/label/__name__/values", 10) as answer:
            return set(json.load(answer)["data"])

    def number(self, expression: str) -> float | None:
        """The value of an expression that gives one series; None: it gives none."""
        found = self._ask(f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}")["result"]
        return float(found[0]["value"][1]) if found else None

    def _ask(self, path: str) -> Manifest:
        with self._open(path, 10) as answer:
            found: Manifest = json.load(answer)["data"]
        return found

    def _answers(self, path: str) -> bool:
        with self._open(path, 2) as answer:
            return bool(answer.status == 200)

    def _open(self, path: str, seconds: float, method: str = "GET") -> HTTPResponse:
        request = urllib.request.Request(f"http{'s' if self.tls else ''}://127.0.0.1:{self.door.port}{path}", method=method)
        answer: HTTPResponse = urllib.request.urlopen(request, timeout=seconds, context=self.tls)
        return answer

    def _all(self, plural: str) -> list[Manifest]:
        found: list[Manifest] = json.loads(self.box.kubectl("get", plural, "-A", "-o", "json"))["items"]
        return found

    def _write(self, monitors: list[Manifest], rules: list[Manifest]) -> None:
        jobs = [_job(each, number, self.box) for each in monitors for number in range(len(each["spec"]["podMetricsEndpoints"]))]
        config = {
            "global": {"scrape_interval": OFTEN, "scrape_timeout": OFTEN, "evaluation_interval": OFTEN},
            "rule_files": [str(self.folder / "rules-*.yaml")],
            "scrape_configs": jobs,
        }
        for old in self.folder.glob("rules-*.yaml"):
            old.unlink()
        for rule in rules:
            meta = rule["metadata"]
            (self.folder / f"rules-{meta['namespace']}-{meta['name']}.yaml").write_text(yaml.safe_dump(rule["spec"], width=10_000))
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def _job(monitor: Manifest, number: int, box: Box) -> Manifest:
    """What the Prometheus Operator makes of one endpoint of a PodMonitor, but for the interval."""
    meta, spec = monitor["metadata"], monitor["spec"]
    endpoint = spec["podMetricsEndpoints"][number]
    labels = [_keep(f"pod_label_{_label(name)}", value) for name, value in spec["selector"]["matchLabels"].items()]
    given = {"namespace": "namespace", "pod": "pod_name", "container": "pod_container_name"}
    given |= {_label(name): f"pod_label_{_label(name)}" for name in spec.get("podTargetLabels", ())}
    return {
        "job_name": f"podMonitor/{meta['namespace']}/{meta['name']}/{number}",
        "metrics_path": endpoint["path"],
        "honor_labels": endpoint.get("honorLabels", False),
        "kubernetes_sd_configs": [
            {"role": "pod", "kubeconfig_file": str(box.state / "pki/admin.conf"), "namespaces": {"names": [meta["namespace"]]}}
        ],
        "relabel_configs": [
            *labels,
            _keep("pod_container_port_name", endpoint["port"]),
            {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Failed|Succeeded", "action": "drop"},
            *({"source_labels": [f"__meta_kubernetes_{source}"], "target_label": target} for target, source in given.items()),
        ],
    }


def _keep(source: str, value: str) -> Manifest:
    return {"source_labels": [f"__meta_kubernetes_{source}"], "regex": re.escape(value), "action": "keep"}


def _label(name: str) -> str:
    return re.sub(r"\W", "_", name)
