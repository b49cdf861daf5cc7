"""`allod plan`: what a model will take, before anything takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from allod.domain.quantity import count, memory
from allod.domain.serving.model.demand import demand
from allod.domain.serving.model.fit import Fit, loaded_bytes
from allod.domain.serving.revision import hash_of, snapshot

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment
    from allod.cli.modelfiles import Model


@dataclass(frozen=True, slots=True)
class Estimate:
    """Needs of one ModelDeployment."""

    model: ModelDeployment
    fit: Fit | None
    """None: nobody said what the model looks like."""
    weights: int | None = None
    """Bytes of all weights once loaded."""

    def document(self) -> dict[str, Any]:
        """For programs."""
        spec, fit = self.model.spec, self.fit
        gpu = spec.resources.gpu
        gpus, memory_bytes = (gpu.count if gpu else 0) * spec.nodes, spec.resources.memory.bytes * spec.nodes
        cpu = spec.resources.cpu if spec.nodes == 1 or spec.resources.cpu is None else f"{spec.resources.cpu.cores * spec.nodes:g}"
        each = {"gpus": gpus, "memoryBytes": memory_bytes, "cpu": cpu} | ({"pods": spec.nodes} if spec.nodes > 1 else {})
        return {
            "name": self.model.metadata.name,
            "namespace": self.model.metadata.namespace,
            "revision": self.revision,
            "engine": spec.engine.type,
            "replicas": spec.replicas,
            "perReplica": each,
            "total": {"gpus": gpus * spec.replicas, "memoryBytes": memory_bytes * spec.replicas},
            "fit": None if fit is None else self._fit(fit),
        }

    @property
    def revision(self) -> str:
        """Hash that the operator will give it."""
        return hash_of(snapshot(self.model.spec))

    def text(self) -> str:
        """For a person."""
        meta, spec = self.model.metadata, self.model.spec
        lines = [
            f"{meta.namespace}/{meta.name}  revision {self.revision}  {spec.engine.type}  {spec.model.uri}",
            *([f"  pod      {self._needs(1)}"] if spec.nodes > 1 else []),
            f"  replica  {self._needs(spec.nodes)}" + (f"  ({count(spec.nodes, 'pod')})" if spec.nodes > 1 else ""),
            f"  total    {self._needs(spec.nodes * spec.replicas)}  ({count(spec.replicas, 'replica')})",
            f"  memory   {self._memory()}",
        ]
        return "\n".join(lines)

    def _needs(self, times: int) -> str:
        spec = self.model.spec.resources
        gpus = f"{spec.gpu.count * times} x {spec.gpu.resource_name}" if spec.gpu else "no GPU"
        cpu = f"cpu {spec.cpu.cores * times:g}" if spec.cpu else "no CPU reserved"
        return f"{gpus}, {cpu}, memory {memory(spec.memory.bytes * times)}"

    def _memory(self) -> str:
        if self.fit is None:
            return "not judged: give the model's files with --model-config"
        verdict = {"Fits": "fits", "Tight": "near the limit", "Misfit": "does not fit", "Unknown": "unknown"}[self.fit.verdict]
        return f"{verdict}: {self.fit.message}"

    def _fit(self, fit: Fit) -> dict[str, Any]:
        return {
            "verdict": fit.verdict,
            "reason": fit.reason,
            "message": fit.message,
            "weightsBytes": self.weights,
            "kvBytesPerToken": fit.kv_bytes_per_token,
            "kvCacheTokens": fit.kv_cache_tokens,
            "maxConcurrency": fit.max_concurrency,
        }


def estimate(model: ModelDeployment, files: Model | None, found: Fit | None) -> Estimate:
    """Put the needs of one model together."""
    weights = loaded_bytes(files.architecture, files.weights, demand(model.spec)) if files else None
    return Estimate(model, found, weights)
