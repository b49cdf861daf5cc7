"""What a person can ask of the images: build, list, check, run."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from box.commands import explain
from box.errors import BoxError
from box.image import catalogue, root, vllm
from box.image.check import CHECKS
from box.image.product import require
from box.progress import Progress

if TYPE_CHECKING:
    from box.image.product import Product

ROOTS = {"vllm-cpu": vllm.ROOT}


def main() -> int:
    """The exit code: 0, or 1 after a sentence on standard error that says what to do."""
    chosen = _arguments().parse_args()
    try:
        match chosen.do:
            case "build":
                build(chosen.names)
            case "run":
                run(chosen.root, chosen.bind, chosen.env, chosen.command)
            case "check":
                check(chosen.names or sorted(CHECKS))
            case _:
                show()
    except (BoxError, OSError, KeyboardInterrupt) as error:
        return explain(error)
    return 0


def build(names: list[str]) -> None:
    """Makes what is not there or has changed."""
    progress = Progress()
    products = list(dict.fromkeys(product for name in names for product in catalogue.named(name)))
    require(products)
    for product in products:
        product.build(progress)


def check(names: list[str]) -> None:
    """Builds what is needed and runs it; raises Failed at the first image that does not work."""
    progress = Progress()
    for name in names:
        works, needed = CHECKS[name]
        for product in needed:
            if not product.fresh():
                product.build(progress)
        with progress.step(f"{name} works"):
            said = works()
        progress.say(f"    {said.splitlines()[0]}")


def show() -> None:
    """One line for each product."""
    for title, products in (("Images", catalogue.IMAGES), ("Files", catalogue.FILES)):
        print(f"{title}:")
        for product in products:
            print(f"  {product.name:<18} {_state(product):<16} {product.image or product.path}\n  {'':<18} {product.about}")


def _state(product: Product) -> str:
    if not product.path.exists():
        return "not built"
    return product.size() if product.fresh() else "inputs changed"


def run(name: str, binds: list[str], pairs: list[str], command: list[str]) -> None:
    """Becomes a program in the root of an image: same process, same network, user 65534, root read-only, an empty /tmp in memory."""
    ROOTS[name].build(Progress())
    sources = {Path(source): target for source, _, target in (bind.rpartition(":") for bind in binds)}
    if absent := [str(source) for source in sources if not source.exists()]:
        raise BoxError(f"--bind: there is no {', '.join(absent)}.", "Write --bind SOURCE:TARGET with a file or folder of this machine.")
    argv = root.command(ROOTS[name].path, command, binds=sources)
    variables = dict(pair.partition("=")[::2] for pair in pairs)
    os.execvpe(argv[0], argv, root.environment({**variables, "TERM": os.environ.get("TERM", "dumb")}))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 tests/box/image", description="Container images for the box, from package registries, without Docker."
    )
    commands = parser.add_subparsers(dest="do", metavar="COMMAND")
    builder = commands.add_parser("build", help="make images; what is there and unchanged stays")
    builder.add_argument("names", nargs="+", metavar="NAME", help="a name of `list`, or all")
    commands.add_parser("list", help="what there is, and whether it is built (the default)")
    checker = commands.add_parser("check", help="run the images' programs, without a cluster")
    checker.add_argument(
        "names", nargs="*", choices=[*sorted(CHECKS), []], metavar="NAME", help=f"of {', '.join(sorted(CHECKS))}; all without"
    )
    runner = commands.add_parser("run", help="run a program in an image's root, without a cluster")
    runner.add_argument("root", choices=sorted(ROOTS))
    runner.add_argument("--bind", action="append", default=[], metavar="SOURCE:TARGET", help="a file or folder of this machine, read-only")
    runner.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="the machine's own variables stay outside")
    runner.add_argument("command", nargs="+", metavar="-- COMMAND")
    return parser
