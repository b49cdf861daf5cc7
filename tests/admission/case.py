from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]

VLLM: Manifest = {
    "apiVersion": "allod.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "chat", "namespace": "default"},
    "spec": {"model": {"uri": "pvc://models/qwen3-32b"}, "engine": {"type": "vLLM"}, "resources": {"memory": "64Gi"}},
}
LLAMACPP: Manifest = {
    "apiVersion": "allod.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "chat", "namespace": "default"},
    "spec": {
        "model": {"uri": "oci://registry.corp/smollm2:gguf/model.gguf"},
        "engine": {"type": "LlamaCpp"},
        "resources": {"memory": "1Gi"},
    },
}


@dataclass(frozen=True, slots=True)
class Case:
    """A rule with a manifest that just passes and one that just fails, and what the person reads then."""

    rule: str
    passes: Manifest
    fails: Manifest
    path: str
    says: str
    old: Manifest | None = None
    """The object before, for rules about changes; both manifests are updates of it."""

    def __str__(self) -> str:
        return self.rule


def vllm(**spec: Any) -> Manifest:
    """A vLLM deployment with parts of the spec set: `vllm(engine__threads=2)` sets spec.engine.threads."""
    return _with(VLLM, spec)


def llamacpp(**spec: Any) -> Manifest:
    return _with(LLAMACPP, spec)


def named(name: str, **spec: Any) -> Manifest:
    manifest = vllm(**spec)
    manifest["metadata"]["name"] = name
    return manifest


def _with(base: Manifest, spec: dict[str, Any]) -> Manifest:
    manifest = copy.deepcopy(base)
    for path, value in spec.items():
        at = manifest["spec"]
        *parents, last = path.split("__")
        for parent in parents:
            at = at.setdefault(parent, {})
        at[last] = value
    return manifest
