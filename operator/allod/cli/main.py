"""`allod`: the operator itself, and the same decisions on files without a cluster.

Exit codes: 0 clean, 1 something was found, 2 the command cannot be carried out, or a file could not be read.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from allod import __version__
from allod.cli import inspect, output
from allod.cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

USAGE = 2
OPERATOR_IMAGE = (
    "the operator's own image, as the chart's values image make it: its container inspect reads a mounted model before the engine starts;"
    " without it ALLOD_INSPECT_IMAGE, else allod with this version's tag, and a warning"
)


def main(words: Sequence[str] | None = None) -> int:
    """Carry out one command. Returns the exit code."""
    given = _parser().parse_args(words)
    command: Callable[[argparse.Namespace], int] = given.command
    try:
        return command(given)
    except UsageError as error:
        _warn(f"allod: {error}")
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
        ("plan", plan, ("text", "json"), "what lint says, and the GPUs and memory that each model takes"),
        ("render", render, ("yaml", "json"), "the objects that the operator would make"),
    ):
        sub = commands.add_parser(name, help=says, description=f"{name}: {says}.")
        _manifests(sub)
        sub.add_argument("--output", "-o", choices=formats, default=formats[0])
        if name == "render":
            sub.add_argument("--operator-image", metavar="IMAGE", help=OPERATOR_IMAGE)
        else:
            sub.add_argument("--model-config", type=Path, metavar="PATH", help="config.json, model folder or GGUF file: judges memory too")
        sub.set_defaults(command=command)
    commands.add_parser("crds", help="the CustomResourceDefinitions, for kubectl apply").set_defaults(command=crds)
    inspecting = commands.add_parser("inspect", help="read a mounted model (in a pod, before the engine starts)")
    inspect.arguments(inspecting)
    inspecting.set_defaults(command=inspect.run)
    commands.add_parser("run", help="the operator").set_defaults(command=run)
    return parser


def _manifests(parser: argparse.ArgumentParser) -> None:
    files = "manifests, or a folder of *.yaml, *.yml and *.json; - is standard input; other kinds in them are left alone"
    parser.add_argument("files", nargs="+", metavar="FILE", help=files)
    parser.add_argument("--recursive", "-R", action="store_true", help="folders in folders too")
    parser.add_argument("--namespace", "-n", default="default", help="of manifests that name none")


def lint(given: argparse.Namespace) -> int:
    """Findings alone."""
    from allod.cli.look import look  # noqa: PLC0415  # a pod's `allod inspect` starts without the rest

    found = look(given)
    if given.output == "sarif":
        _say(output.sarif(found.findings))
    elif given.output == "json":
        _say(json.dumps(output.listed(found.findings), indent=2))
    else:
        _say(output.text(found.findings, found.looked_at))
    return output.exit_code(found.findings)


def plan(given: argparse.Namespace) -> int:
    """Needs of each model that would be taken, then findings."""
    from allod.cli.estimate import estimate  # noqa: PLC0415  # as above
    from allod.cli.look import look  # noqa: PLC0415  # as above

    found = look(given)
    estimates = [estimate(checked.model, *found.judged.get(index, (None, None))) for index, checked in enumerate(found.readable)]
    if given.output == "json":
        _say(json.dumps({"models": [each.document() for each in estimates], "findings": output.listed(found.findings)}, indent=2))
    else:
        _say("\n\n".join([*(each.text() for each in estimates), output.text(found.findings, found.looked_at)]))
    return output.exit_code(found.findings)


def render(given: argparse.Namespace) -> int:
    """Objects of each model; nothing is printed when one of them would be refused."""
    from allod.cli.look import look  # noqa: PLC0415  # as above
    from allod.cli.preview import defaults, first_plan, guessed  # noqa: PLC0415  # as above

    given.model_config = None
    found = look(given)
    if output.errors(found.findings):
        _warn(output.text(found.findings, found.looked_at))
        return output.exit_code(found.findings)
    images = defaults(given.operator_image)
    objects = [manifest for checked in found.readable for manifest in first_plan(checked.model, images).objects]
    if not objects:
        _warn("allod: no ModelDeployment was given, so there is nothing to render")
    if image := guessed(objects, images):
        _warn(f"allod: the operator's own image is not known, so the container inspect has {image}: give --operator-image")
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
        raise UsageError(f"the operator needs the module {error.name}: pip install '.[operator]' in a checkout of Allod") from error
    try:
        settings = Settings.from_environment(os.environ)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return operator(settings)


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


def _warn(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201  # a command line
