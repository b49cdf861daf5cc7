"""One look at the files that a command was given: what lint, plan and render have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from allod.cli import lint as rules
from allod.cli.documents import read
from allod.cli.errors import UsageError
from allod.cli.modelfiles import MissingError, described
from allod.cli.preview import defaults
from allod.domain.serving.model.architecture import UnreadableError

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from allod.cli.checked import Checked
    from allod.cli.finding import Finding
    from allod.cli.modelfiles import Model
    from allod.domain.serving.model.fit import Fit


@dataclass(frozen=True, slots=True)
class Looked:
    """What there is to say about the files."""

    readable: list[Checked]
    """Manifests that are whole enough to be judged."""
    findings: list[Finding]
    """In the order of the files and their lines."""
    judged: dict[int, tuple[Model, Fit]]
    """The memory of each of `readable`, by position."""
    looked_at: int
    """Manifests of ours, those too that are not whole enough."""


def look(given: Namespace) -> Looked:
    """Read and judge. Raises UsageError for what no file is to blame for."""
    files = _model_files(given.model_config) if given.model_config else None
    reading = read(given.files, recursive=given.recursive)
    readable, findings = rules.check(reading.documents, defaults(), given.namespace)
    findings = [*reading.findings, *findings]
    uris = sorted({str(checked.model.spec.model.uri) for checked in readable})
    if files and len(uris) > 1:
        raise UsageError(f"--model-config is the files of one model, and these are of several ({', '.join(uris)}): give one at a time")
    judged: dict[int, tuple[Model, Fit]] = {}
    for index, checked in enumerate(readable):
        if files:
            fit, finding = rules.memory(checked, files.architecture, files.weights)
            judged[index] = (files, fit)
            findings += [finding] if finding else []
    order = {file: at for at, file in enumerate(reading.files)}
    return Looked(readable, sorted(findings, key=lambda found: (order[found.file], found.line)), judged, len(reading.documents))


def _model_files(path: Path) -> Model:
    try:
        return described(path)
    except (MissingError, UnreadableError, OSError) as error:
        raise UsageError(f"--model-config {path}: {error}") from error
