"""What runs of a model or may run, all its revisions taken together: one that was given up counts as long as the spec asks for it.

Policies and monitoring are rendered once for all pods of a model. While its spec asks for one revision another one may serve, for good
where the new one was given up: these objects follow what runs, and the spec where nothing does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from allod.render.serving import vllm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from allod.api.modeldeployment import ModelDeploymentSpec
    from allod.domain.serving.revision import Revision

Engine: TypeAlias = Literal["vLLM", "LlamaCpp"]


@dataclass(frozen=True, slots=True)
class Running:
    """One revision, or several side by side."""

    engines: frozenset[Engine]
    grouped: bool
    """Replicas of one of them have several pods."""
    downloads: bool
    """Pods of one of them fetch their model from a hub, at each start anew."""
    on_gpus: bool


def of_spec(spec: ModelDeploymentSpec) -> Running:
    """Of the one revision that a spec asks for."""
    return Running(frozenset({spec.engine.type}), spec.nodes > 1, spec.model.uri.scheme == "hf", spec.resources.gpu is not None)


def of_revisions(revisions: Iterable[Revision], spec: ModelDeploymentSpec) -> Running:
    """Of all of these, and of the spec where there is none."""
    found = [_of_revision(each, spec) for each in revisions] or [of_spec(spec)]
    engines = frozenset[Engine]().union(*(each.engines for each in found))
    grouped, downloads = any(each.grouped for each in found), any(each.downloads for each in found)
    return Running(engines, grouped, downloads, any(each.on_gpus for each in found))


def _of_revision(revision: Revision, spec: ModelDeploymentSpec) -> Running:
    """Asked of what was rendered, which is known even where nobody remembers the spec. What is still to be made is made of this spec."""
    kept = revision.statefulset
    if kept is None:
        return of_spec(spec)
    uri = str((revision.snapshot.get("model") or {}).get("uri", ""))  # pods of before there was a program that asks download all the same
    engine: Engine = "vLLM" if vllm.watched(kept) else "LlamaCpp"
    downloads = vllm.asks_hub(kept) or uri.startswith("hf://")
    return Running(frozenset({engine}), revision.nodes > 1, downloads, revision.on_gpus)
