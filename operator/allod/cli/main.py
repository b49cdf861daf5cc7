"""`allod`: the operator itself, and the same decisions on files without a cluster.

Exit codes: 0 clean, 1 something was found, 2 the command cannot be carried out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from allod import __version__
from allod.cli import inspect, output
from allod.cli.documents import read
from allod.cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from allod.cli.finding import Finding
    from allod.cli.lint import Checked
    from allod.cli.modelfiles import Model
    from allod.domain.serving.fit import Fit

USAGE = 2


def main(words: Sequence[str] | None = None) -> int:
    """Carry out one command. Returns the exit code."""
    given = _parser().parse_args(words)
    command: Callable[[argparse.Namespace], int] = given.command
    try:
        return command(given)
    except UsageError as error:
        print(f"allod: {error}", file=sys.stderr)  # noqa: T201  # a command line
        return USAGE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # who reads has enough, as with `| head`
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="allod", description="Private LLMs on Kubernetes. lint, plan and render need no cluster.")
    parser.add_argument("--version", action="version", version=f"allod {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, formats, says in (
        ("lint", lint, ("text", "json", "sarif"), "what the API server and the operator would refuse"),
        ("plan", plan, ("text", "json"), "the same, and what each model takes"),
        ("render", render, ("yaml", "json"), "the objects that the operator would make"),
    ):
        sub = commands.add_parser(name, help=says, description=f"Says {says}. - reads standard input.")
        sub.add_argument("files", nargs="+", metavar="FILE", help="manifests; other kinds in them are left alone")
        sub.add_argument("--output", "-o", choices=formats, default=formats[0])
        sub.add_argument("--namespace", "-n", default="default", help="of manifests that name none")
        if name != "render":
            sub.add_argument("--model-config", type=Path, metavar="PATH", help="config.json, model folder or GGUF file: judges memory too")
        sub.set_defaults(command=command)
    commands.add_parser("crds", help="the CustomResourceDefinitions, for kubectl apply").set_defaults(command=crds)
    inspecting = commands.add_parser("inspect", help="read a mounted model (in a pod, before the engine starts)")
    inspect.arguments(inspecting)
    inspecting.set_defaults(command=inspect.run)
    commands.add_parser("run", help="the operator").set_defaults(command=run)
    return parser


def lint(given: argparse.Namespace) -> int:
    """Findings alone."""
    _, findings, _ = _checked(given)
    if given.output == "sarif":
        _say(output.sarif(findings))
    elif given.output == "json":
        _say(json.dumps(output.listed(findings), indent=2))
    else:
        _say(output.text(findings))
    return 1 if output.errors(findings) else 0


def plan(given: argparse.Namespace) -> int:
    """Needs of each model that would be taken, then findings."""
    from allod.cli.estimate import estimate  # noqa: PLC0415  # a pod's `allod inspect` starts without the rest

    passed, findings, judged = _checked(given)
    estimates = [estimate(checked.model, *judged.get(index, (None, None))) for index, checked in enumerate(passed)]
    if given.output == "json":
        _say(json.dumps({"models": [each.document() for each in estimates], "findings": output.listed(findings)}, indent=2))
    else:
        _say("\n\n".join([*(each.text() for each in estimates), output.text(findings)]))
    return 1 if output.errors(findings) else 0


def render(given: argparse.Namespace) -> int:
    """Objects of each model; nothing is printed when one of them would be refused."""
    from allod.cli.preview import first_plan  # noqa: PLC0415  # as above

    given.model_config = None
    passed, findings, _ = _checked(given)
    if output.errors(findings):
        print(output.text(findings), file=sys.stderr)  # noqa: T201  # a command line
        return 1
    objects = [manifest for checked in passed for manifest in first_plan(checked.model).objects]
    _say(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}, indent=2) if given.output == "json" else to_yaml(objects))
    return 0


def crds(_: argparse.Namespace) -> int:
    """All of them, as one YAML stream."""
    from allod.api.crds import manifests  # noqa: PLC0415  # as above

    _say(to_yaml(manifests()))
    return 0


def run(_: argparse.Namespace) -> int:
    """Run the operator until it is told to end."""
    try:
        from allod.runtime.main import run as operator  # noqa: PLC0415  # needs the extra `operator`, which people's machines lack
        from allod.runtime.settings import Settings  # noqa: PLC0415  # as above
    except ModuleNotFoundError as error:
        raise UsageError(f"the operator needs the module {error.name}: pip install 'allod[operator]'") from error
    try:
        settings = Settings.from_environment(os.environ)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return operator(settings)


Judged: TypeAlias = "dict[int, tuple[Model, Fit]]"


def _checked(given: argparse.Namespace) -> tuple[list[Checked], list[Finding], Judged]:
    """Manifests that would be taken, everything that was found, and the memory of each, by position."""
    from allod.cli import lint as rules  # noqa: PLC0415  # as above
    from allod.cli.preview import defaults  # noqa: PLC0415  # as above

    documents, notes = read(given.files)
    passed, findings = rules.check(documents, defaults(), given.namespace)
    findings = [*notes, *findings]
    judged: Judged = {}
    files = _model_files(given.model_config) if given.model_config else None
    for index, checked in enumerate(passed):
        if files:
            fit, finding = rules.memory(checked, files.architecture, files.weights)
            judged[index] = (files, fit)
            findings += [finding] if finding else []
    order = {file: at for at, file in enumerate(given.files)}
    return passed, sorted(findings, key=lambda found: (order[found.file], found.line)), judged


def _model_files(path: Path) -> Model:
    from allod.cli.modelfiles import MissingError, described  # noqa: PLC0415  # as above
    from allod.domain.serving.model.architecture import UnreadableError  # noqa: PLC0415  # as above

    try:
        return described(path)
    except (MissingError, UnreadableError, OSError) as error:
        raise UsageError(f"--model-config {path}: {error}") from error


class _Dumper(yaml.SafeDumper):
    """No anchors: what stands twice is written twice, as people write manifests."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # the base class's name and signature
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """Text of several lines as a block, which a person can read."""
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Dumper.add_representer(str, _Dumper.represent_str)


def to_yaml(objects: Sequence[Any]) -> str:
    """One stream of documents, in the order of their keys as we write them."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000).rstrip("\n")


def _say(text: str) -> None:
    print(text)  # noqa: T201  # a command line
