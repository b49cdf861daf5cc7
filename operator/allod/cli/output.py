"""How findings are shown: lines for a person, JSON for a program, SARIF 2.1.0 for code review."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from allod import __version__
from allod.cli.source import UNREADABLE
from allod.domain.quantity import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from allod.cli.finding import Finding

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def exit_code(findings: Sequence[Finding]) -> int:
    """0: nothing is wrong. 1: something is. 2: not everything could be looked at."""
    if any(found.rule == UNREADABLE for found in findings):
        return 2
    return 1 if errors(findings) else 0


def errors(findings: Sequence[Finding]) -> int:
    """How many there are."""
    return sum(found.level == "error" for found in findings)


def text(findings: Sequence[Finding], looked_at: int) -> str:
    """One line each, in the order of the files, then the sum. `looked_at`: how many manifests of ours there were."""
    places = [f"{found.file}:{found.line}" for found in findings]
    width = max(map(len, places), default=0)
    rules = max((len(found.rule) for found in findings), default=0)
    lines = [
        f"{place:<{width}}  {found.level:<7}  {found.rule:<{rules}}  {found.message}" for place, found in zip(places, findings, strict=True)
    ]
    return "\n".join([*lines, summary(findings, looked_at)])


def summary(findings: Sequence[Finding], looked_at: int) -> str:
    """The last line. A check that looked at nothing, by a wrong path or an empty pipe, must not look like one that passed."""
    warnings = sum(found.level == "warning" for found in findings)
    found = f"{count(errors(findings), 'error')}, {count(warnings, 'warning')} in {count(looked_at, 'ModelDeployment')}"
    return f"{found}; nothing was sent to a cluster"


def listed(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Each as a JSON object."""
    return [
        {"file": found.file, "line": found.line, "level": found.level, "rule": found.rule, "message": found.message} for found in findings
    ]


def sarif(findings: Sequence[Finding]) -> str:
    """One run of one tool."""
    from allod.cli.rules import about  # noqa: PLC0415  # it reads every schema, and a pod's `allod inspect` starts without them

    names = sorted({found.rule for found in findings})
    rules = [{"id": name, "shortDescription": {"text": about(name)}} for name in names]
    run = {
        "tool": {"driver": {"name": "allod", "version": __version__, "rules": rules}},
        "invocations": [{"executionSuccessful": all(found.rule != UNREADABLE for found in findings)}],
        "results": [_result(found, names.index(found.rule)) for found in findings],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _result(found: Finding, rule: int) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": _uri(found.file)}, "region": {"startLine": found.line}}
    return {
        "ruleId": found.rule,
        "ruleIndex": rule,
        "level": found.level,
        "message": {"text": found.message},
        "locations": [{"physicalLocation": place}],
    }


def _uri(file: str) -> str:
    """Relative to where the command runs, which is the checkout in CI; what lies outside of it is named in full."""
    path = Path(os.path.normpath(file))
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    outside = path.is_absolute() or path.parts[:1] == ("..",)
    return path.resolve().as_uri() if outside else quote(path.as_posix())
