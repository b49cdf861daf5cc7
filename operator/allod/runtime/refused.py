"""What the API server does not let us list. What is not known is not absent: whoever depends on it is left alone.

A namespace that is deleted takes the operator's Role along, and its other namespaces must not notice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from allod.adapters.resources import HTTPROUTES, OPTIONAL, REQUIRED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from allod.adapters.resources import Resource
    from allod.domain.manifest import Manifest

TODO = "run helm upgrade, which gives the operator its rights again; if the namespace is gone, without it in `namespaces`"


class Refused:
    """By kind and namespace. The empty namespace stands for all."""

    def __init__(self) -> None:
        self._why: dict[tuple[Resource, str], str] = {}

    def note(self, of: Resource, namespace: str, why: str) -> None:
        """How the last attempt went. Empty: it was listed, or the kind is not served."""
        self._why.pop((of, namespace), None)
        if why:
            self._why[of, namespace] = why

    def lists(self) -> tuple[tuple[Resource, str], ...]:
        """Those that were refused when they were asked for last."""
        return tuple(self._why)

    def everywhere(self, of: Resource, namespaces: Iterable[str]) -> bool:
        """Whether a kind cannot be listed in any of these."""
        return all((of, namespace) in self._why for namespace in namespaces)

    def blinds(self, namespace: str) -> bool:
        """Whether a decision in a namespace would take for absent what may well be there."""
        return any((each, where) in self._why for each in REQUIRED for where in (namespace, ""))

    def hides(self, model: Manifest) -> bool:
        """Whether something may be there that decides about this model."""
        namespace = model["metadata"]["namespace"]
        return self.blinds(namespace) or (_has_route(model) and any((HTTPROUTES, where) in self._why for where in (namespace, "")))

    def apis(self, namespace: str) -> frozenset[str]:
        """Optional kinds, as group/version/Kind, that count as not served in a namespace."""
        kinds = (each for each, where in self._why if where in (namespace, "") and each in OPTIONAL)
        return frozenset(f"{each.api_version}/{each.kind}" for each in kinds)

    @property
    def problem(self) -> str:
        """What it means and what to do, a sentence for each namespace. Empty: nothing is refused."""
        return " ".join(self._problem(namespace) for namespace in sorted({where for _, where in self._why}))

    def _problem(self, namespace: str) -> str:
        kinds = [each for each, where in self._why if where == namespace]
        where = f"in the namespace {namespace}" if namespace else "in all namespaces"
        what = "its models are left alone" if namespace else "all models are left alone"
        if not self.blinds(namespace):
            what = "models with a Gateway are left alone" if HTTPROUTES in kinds else "none are made there"
        listed = ", ".join(each.plural for each in kinds)
        return f"{listed} cannot be listed {where}, so {what}: {TODO} ({self._why[kinds[0], namespace]})."


def _has_route(model: Manifest) -> bool:
    """Whether requests come to it by an HTTPRoute, as its spec or its last status says."""
    rollout = (model.get("spec") or {}).get("rollout") or {}
    weighed = ((model.get("status") or {}).get("traffic") or {}).get("weights")
    return bool((rollout.get("canary") or {}).get("parentRef") or weighed)
