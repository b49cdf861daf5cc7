"""`allod lint`: what the API server and the operator would refuse, without either."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import ValidationError

from allod.api.modeldeployment import ModelDeployment
from allod.cli import pairs
from allod.cli.checked import Checked
from allod.cli.errors import UsageError
from allod.cli.finding import Finding, Level
from allod.domain.serving.model.demand import demand
from allod.domain.serving.model.fit import Fit, fit
from allod.domain.serving.refusals import unknown_flag

if TYPE_CHECKING:
    from allod.cli.documents import Document
    from allod.domain.serving.model.architecture import Architecture, Weights
    from allod.domain.serving.seen import Defaults

Violations: TypeAlias = Callable[[dict[str, Any]], Sequence[Any]]
LEVELS: dict[str, Level] = {"Misfit": "error", "Tight": "warning"}
RULES = {"HeadsNotDivisible": "tensor-heads", "TooFewLayers": "pipeline-layers", "PoolingMissing": "model-pooling"}
PLACES = {"HeadsNotDivisible": "spec.parallelism.tensor", "TooFewLayers": "spec.parallelism.pipeline", "PoolingMissing": "spec.model.task"}


def check(documents: Iterable[Document], defaults: Defaults, namespace: str) -> tuple[list[Checked], list[Finding]]:
    """Manifests that can be read as models, and everything that is wrong with any of them."""
    violations = admission()
    readable: list[Checked] = []
    findings: list[Finding] = []
    for document in documents:
        found = violations(document.raw)
        findings += [Finding(document.file, document.line(each.path), "error", each.rule, each.whole) for each in found]
        model = _model(document.raw, namespace)
        if model:
            readable.append(Checked(document, model))
    findings += [found for checked in readable for found in _unknown_flags(checked, defaults)]
    return readable, [*findings, *pairs.findings(readable)]


def admission() -> Violations:
    """The schema and the CEL rules. Raises UsageError where the evaluator of CEL is not installed."""
    try:
        from allod.api.admission import violations  # noqa: PLC0415  # an extra: `allod inspect` and the operator run without it
    except ModuleNotFoundError as error:
        raise UsageError(f"lint, plan and render need the module {error.name}: pip install '.[lint]' in a checkout of Allod") from error
    return violations


def memory(checked: Checked, architecture: Architecture, weights: Weights) -> tuple[Fit, Finding | None]:
    """Whether the model fits into what is reserved, and what to say about it."""
    asked, gpu = demand(checked.model.spec), checked.model.spec.resources.gpu
    if gpu and asked.ranks != gpu.count * asked.nodes:  # refused already: what is reserved is what there would be
        asked = replace(asked, tensor=gpu.count * asked.nodes, pipeline=1)
    found = fit(architecture, weights, asked)
    level = LEVELS.get(found.verdict)
    if level is None:
        return found, None
    line = checked.document.line(PLACES.get(found.reason, "spec.resources"))
    return found, Finding(checked.document.file, line, level, RULES.get(found.reason, "memory"), found.message)


def _model(raw: dict[str, Any], namespace: str) -> ModelDeployment | None:
    metadata = raw.get("metadata")
    if not isinstance(metadata, dict):
        return None
    named = {"namespace": namespace} | {name: value for name, value in metadata.items() if value is not None}
    try:
        return ModelDeployment.model_validate(raw | {"metadata": named})
    except ValidationError:
        return None  # the schema said so already, with the field's path


def _unknown_flags(checked: Checked, defaults: Defaults) -> Iterable[Finding]:
    found = unknown_flag(checked.model, defaults)
    if found:
        place = "spec.engine.args" if checked.model.spec.engine.args else "spec.engine.extraArgs"
        yield Finding(checked.document.file, checked.document.line(place), "error", "unknown-flag", found.message)
