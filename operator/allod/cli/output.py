"""How findings are shown: lines for a person, JSON for a program, SARIF 2.1.0 for code review."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from allod import __version__
from allod.domain.quantity import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from allod.cli.finding import Finding

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def errors(findings: Sequence[Finding]) -> int:
    """How many there are."""
    return sum(found.level == "error" for found in findings)


def text(findings: Sequence[Finding]) -> str:
    """One line each, in the order of the files, then the sum."""
    places = [f"{found.file}:{found.line}" for found in findings]
    width = max(map(len, places), default=0)
    rules = max((len(found.rule) for found in findings), default=0)
    lines = [
        f"{place:<{width}}  {found.level:<7}  {found.rule:<{rules}}  {found.message}" for place, found in zip(places, findings, strict=True)
    ]
    return "\n".join([*lines, summary(findings)])


def summary(findings: Sequence[Finding]) -> str:
    """The last line."""
    warnings = sum(found.level == "warning" for found in findings)
    return f"{count(errors(findings), 'error')}, {count(warnings, 'warning')}; nothing was sent to a cluster"


def listed(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Each as a JSON object."""
    return [
        {"file": found.file, "line": found.line, "level": found.level, "rule": found.rule, "message": found.message} for found in findings
    ]


def sarif(findings: Sequence[Finding]) -> str:
    """One run of one tool."""
    rules = sorted({found.rule for found in findings})
    driver = {"name": "allod", "version": __version__, "rules": [{"id": rule} for rule in rules]}
    return json.dumps(
        {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": [*map(_result, findings)]}]}, indent=2
    )


def _result(found: Finding) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": found.file}, "region": {"startLine": found.line}}
    return {
        "ruleId": found.rule,
        "level": found.level,
        "message": {"text": found.message},
        "locations": [{"physicalLocation": place}],
    }
