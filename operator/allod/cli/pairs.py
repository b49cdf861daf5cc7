"""What only several manifests together show: two of one name, one served name twice, a standby that could not answer.

The rules are those by which the operator decides when it sees the same objects in one namespace.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from allod.cli.finding import Finding
from allod.domain.serving.claim import Claim, served_names, standby_of, taken
from allod.domain.serving.seen import Companion
from allod.domain.serving.standby.standby import misfit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from allod.api.modeldeployment import ModelDeployment
    from allod.cli.checked import Checked
    from allod.cli.finding import Level


def findings(every: Sequence[Checked]) -> Iterator[Finding]:
    """Of all manifests that were given. One that names an object which is not among them is not judged by it."""
    namespaces: dict[str, dict[str, Checked]] = {}
    for checked in every:
        meta = checked.model.metadata
        together = namespaces.setdefault(meta.namespace, {})
        if first := together.get(meta.name):
            twice = f"ModelDeployment {meta.name} of namespace {meta.namespace} stands at {first.place} too: the one applied last wins"
            yield _finding(checked, "metadata.name", "duplicate-object", twice, "warning")
        together[meta.name] = checked
    for together in namespaces.values():
        yield from _names(together.values())
        yield from _standbys(together)


def _names(together: Iterable[Checked]) -> Iterator[Finding]:
    claims = [(checked, _claim(checked.model)) for checked in together]
    for checked, mine in claims:
        if found := taken(mine, mine.asks, [other for _, other in claims if other is not mine]):
            yield _finding(checked, "spec.model", "name-taken", found.message)


def _standbys(together: dict[str, Checked]) -> Iterator[Finding]:
    for checked in together.values():
        there = together.get(standby_of(checked.model.spec.document()) or "")
        if there is not None and there is not checked and (found := misfit(checked.model, _companion(there.model))):
            yield _finding(checked, "spec.standby", _kebab(found.reason), found.message)


def _claim(model: ModelDeployment) -> Claim:
    """As of an object that no cluster has seen."""
    name, spec = model.metadata.name, model.spec.document()
    return Claim(name, "", served_names(name, spec), standby=standby_of(spec))


def _companion(model: ModelDeployment) -> Companion:
    """The same of a standby."""
    name, spec, document = model.metadata.name, model.spec, model.spec.document()
    return Companion(name, served_names(name, document), spec.model.task, spec.replicas, spec.suspend, standby_of(document), revision=None)


def _finding(checked: Checked, path: str, rule: str, message: str, level: Level = "error") -> Finding:
    return Finding(checked.document.file, checked.document.line(path), level, rule, message)


def _kebab(reason: str) -> str:
    """`StandbyPointsBack` as the name of a rule: `standby-points-back`."""
    return re.sub(r"(?<!^)([A-Z])", r"-\1", reason).lower()
